// SPDX-License-Identifier: GPL-2.0-or-later
/* exit_codes.c - which exit code fits an error: the one place that knows all domains. */
#include "core-vmm/exit/exit_codes.h"
#include "disk-formats/image/error.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/control/client.h"
#include <gio/gio.h>

static int of_control(int code)
{
    switch (code) {
    case CONTROL_USAGE:
    case CONTROL_UNKNOWN_COMMAND: return EXIT_CODE_USAGE;
    case CONTROL_NOT_FOUND: return EXIT_CODE_NOT_FOUND;
    case CONTROL_CLOSED:
    case CONTROL_WRONG_STATE: return EXIT_CODE_WRONG_STATE;
    case CONTROL_TIMEOUT: return EXIT_CODE_TIMEOUT;
    case CONTROL_PERMISSION: return EXIT_CODE_HOST;
    case CONTROL_BUSY: return EXIT_CODE_BUSY;
    case CONTROL_NO_SPACE: return EXIT_CODE_NO_SPACE;
    default: return EXIT_CODE_FAILED;
    }
}

static int of_machine(int code)
{
    switch (code) {
    case MACHINE_ERROR_NOT_FOUND: return EXIT_CODE_NOT_FOUND;
    case MACHINE_ERROR_AMBIGUOUS: return EXIT_CODE_USAGE;
    case MACHINE_ERROR_EXISTS: return EXIT_CODE_EXISTS;
    case MACHINE_ERROR_RUNNING:
    case MACHINE_ERROR_NOT_RUNNING: return EXIT_CODE_WRONG_STATE;
    case MACHINE_ERROR_IN_USE: return EXIT_CODE_BUSY;
    case MACHINE_ERROR_TIMEOUT: return EXIT_CODE_TIMEOUT;
    case MACHINE_ERROR_NO_PROGRAM: return EXIT_CODE_HOST;
    default: return EXIT_CODE_FAILED;
    }
}

static int of_io(int code)
{
    switch (code) {
    case G_IO_ERROR_NOT_FOUND: return EXIT_CODE_NOT_FOUND;
    case G_IO_ERROR_EXISTS: return EXIT_CODE_EXISTS;
    case G_IO_ERROR_PERMISSION_DENIED:
    case G_IO_ERROR_READ_ONLY: return EXIT_CODE_HOST;
    case G_IO_ERROR_NO_SPACE: return EXIT_CODE_NO_SPACE;
    case G_IO_ERROR_BUSY: return EXIT_CODE_BUSY;
    case G_IO_ERROR_INVALID_ARGUMENT: return EXIT_CODE_USAGE;
    default: return EXIT_CODE_FAILED;
    }
}

static int of_file(int code)
{
    switch (code) {
    case G_FILE_ERROR_NOENT: return EXIT_CODE_NOT_FOUND;
    case G_FILE_ERROR_EXIST: return EXIT_CODE_EXISTS;
    case G_FILE_ERROR_ACCES:
    case G_FILE_ERROR_PERM:
    case G_FILE_ERROR_ROFS: return EXIT_CODE_HOST;
    case G_FILE_ERROR_NOSPC: return EXIT_CODE_NO_SPACE;
    default: return EXIT_CODE_FAILED;
    }
}

static int of_disk(int code)
{
    switch (code) {
    case DISK_ERROR_USAGE: return EXIT_CODE_USAGE;
    case DISK_ERROR_NOT_FOUND: return EXIT_CODE_NOT_FOUND;
    case DISK_ERROR_EXISTS: return EXIT_CODE_EXISTS;
    case DISK_ERROR_PERMISSION: return EXIT_CODE_HOST;
    case DISK_ERROR_NO_SPACE: return EXIT_CODE_NO_SPACE;
    case DISK_ERROR_LOCKED: return EXIT_CODE_BUSY;
    default: return EXIT_CODE_FAILED;
    }
}

int exit_code_of_error(const GError *e)
{
    if (e->domain == CONTROL_ERROR)
        return of_control(e->code);
    if (e->domain == MACHINE_ERROR)
        return of_machine(e->code);
    if (e->domain == G_IO_ERROR)
        return of_io(e->code);
    if (e->domain == G_FILE_ERROR)
        return of_file(e->code);
    if (e->domain == DISK_ERROR)
        return of_disk(e->code);
    bool usage = e->domain == CONFIG_ERROR || e->domain == G_OPTION_ERROR || e->domain == G_KEY_FILE_ERROR;
    return usage ? EXIT_CODE_USAGE : EXIT_CODE_FAILED;
}
