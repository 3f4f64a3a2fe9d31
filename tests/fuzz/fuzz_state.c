// SPDX-License-Identifier: GPL-2.0-or-later
/* A saved state that somebody made up: a machine's own, changed by the input and given right checksums again, so that what is
 * behind them is met too.  It is refused or taken; a machine that took it is then used, and now and then really runs.
 * An input that begins with an odd byte is the file itself.  With its second bit what is changed, or is the file, is one that the machine's
 * own state builds upon. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/machine/state.h"
#include "tests/core-vmm/state_edit.h"
#include "tests/fuzz/bytes.h"
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RUN_EVERY = 64, RUN_US = 2000, RAM_BYTES = 4 << 20 };

static unsigned take_word(struct bytes *in)
{
    unsigned low = take(in);
    return low | take(in) << 8;
}

static struct machine *build(void)
{
    g_autoptr(GError) error = NULL;
    struct machine *m = state_machine("", &error);
    if (!m)
        g_error("%s", error->message);
    return m;
}

static bool is_other_memory(const struct part *p, const struct part *than)
{
    return !strcmp(p->name, "memory") && p != than;
}

/* Of the memory only the smallest piece, which is one of RAM: ROMs are large, and all alike here. */
static GPtrArray *base_parts(struct machine *m)
{
    m->memory.base[PAGE] = 1;
    int fd = state_memfd("", 0);
    g_autoptr(GError) error = NULL;
    if (!machine_save(m, fd, NULL, &error))
        g_error("%s", error->message);
    GPtrArray *parts = state_parts(fd);
    const struct part *smallest = NULL;
    for (unsigned i = 0; i < parts->len; i++) {
        const struct part *p = parts->pdata[i];
        if (!strcmp(p->name, "memory") && (!smallest || p->bytes->len < smallest->bytes->len))
            smallest = p;
    }
    for (unsigned i = parts->len; i-- > 0;)
        if (is_other_memory(parts->pdata[i], smallest))
            g_ptr_array_remove_index(parts, i);
    close(fd);
    return parts;
}

/* ---- one change ---- */

static void change_bytes(struct part *p, struct bytes *in)
{
    unsigned at = take_word(in), n = take(in) % 16 + 1;
    for (unsigned i = 0; i < n && p->bytes->len; i++)
        p->bytes->data[(at + i) % p->bytes->len] = take(in);
}

static void change_length(struct part *p, struct bytes *in)
{
    unsigned old = p->bytes->len, fresh = (old + (int8_t)take(in)) & 0xffff;
    g_byte_array_set_size(p->bytes, fresh);
    if (fresh > old)
        memset(p->bytes->data + old, take(in), fresh - old);
}

static void change(GPtrArray *parts, struct bytes *in)
{
    unsigned how = take(in), where = parts->len ? take(in) % parts->len : 0;
    if (!parts->len)
        return;
    struct part *p = parts->pdata[where];
    if (how < 200)
        change_bytes(p, in);
    else if (how < 230)
        change_length(p, in);
    else if (how < 236)
        p->version += (int8_t)take(in);
    else if (how < 242)
        p->name[take(in) % (STATE_NAME_BYTES - 1)] ^= take(in) % 32;
    else if (how < 248)
        g_ptr_array_remove_index(parts, where);
    else if (parts->len < 200)
        g_ptr_array_insert(parts, take(in) % (parts->len + 1), part_copy(p));
}

/* A name as state_put() takes it. */
static void mend_names(GPtrArray *parts)
{
    for (unsigned i = 0; i < parts->len; i++)
        ((struct part *)parts->pdata[i])->name[STATE_NAME_BYTES - 1] = 0;
}

static GPtrArray *copy(GPtrArray *from)
{
    GPtrArray *to = g_ptr_array_new_with_free_func(part_free);
    for (unsigned i = 0; i < from->len; i++)
        g_ptr_array_add(to, part_copy(from->pdata[i]));
    return to;
}

static int changed(GPtrArray *base, struct bytes *in)
{
    g_autoptr(GPtrArray) parts = copy(base);
    for (unsigned n = 0; in->left && n < 20; n++)
        change(parts, in);
    mend_names(parts);
    return state_join(parts);
}

/* ---- what took it ---- */

static void use(struct machine *m)
{
    for (unsigned port = 0; port < 0x600; port++) {
        machine_in(m, port & 1, port, 1);
        if (port != 0x92 && port != 0x64 && port != 0x501)
            machine_out(m, 0, port, 1, port * 7);
    }
    for (unsigned i = 0; i < 64; i++)
        machine_load(m, i & 1, 0xfee00000 + i * 16, 4);
    for (unsigned cpu = 0; cpu < 2; cpu++)
        machine_ack(m, cpu);
}

static void settle(void)
{
    for (unsigned i = 0; i < 20 && g_main_context_iteration(NULL, FALSE); i++)
        ;
}

static void run(struct machine *m)
{
    g_autoptr(GError) error = NULL;
    if (!machine_start(m, &error))
        g_error("%s", error->message);
    g_usleep(RUN_US);
    settle();
    machine_pause(m);
}

/* What a live snapshot does with an older state. */
static void compare_with(int older)
{
    g_autofree uint8_t *window = g_malloc(STATE_WINDOW_PAGES * PAGE);
    struct state_base *b = state_base_open(&older, 1, RAM_BYTES, NULL);
    for (uint64_t at = 0; b && (at = state_base_next(b, at)) != UINT64_MAX; at += STATE_WINDOW_PAGES * PAGE)
        state_base_read(b, at, MIN(STATE_WINDOW_PAGES, (RAM_BYTES - at) / PAGE), window);
    state_base_free(b);
}

/* All zero: it is no state. */
static struct state_identity identity_of(int fd)
{
    struct state_reader r;
    struct state_section s = {.name = ""};
    bool good = state_open(&r, fd, NULL);
    while (good && strcmp(s.name, STATE_END))
        good = state_next(&r, &s, NULL);
    struct state_identity id = good ? state_identity(&r) : (struct state_identity){0};
    state_close(&r);
    return id;
}

/* The parts as they are, as a file that builds upon that one. */
static int upon(GPtrArray *parts, int older)
{
    const struct state_identity id = identity_of(older);
    uint8_t contents[12];
    put_le64(contents, id.bytes);
    put_le32(contents + 8, id.sum);
    struct part *p = part_copy(parts->pdata[0]);
    strcpy(p->name, STATE_BASE_PART);
    p->version = STATE_BASE_VERSION;
    g_byte_array_set_size(p->bytes, 0);
    g_byte_array_append(p->bytes, contents, sizeof contents);
    g_ptr_array_insert(parts, STATE_BEFORE_MEMORY, p);
    int fd = state_join(parts);
    g_ptr_array_remove_index(parts, STATE_BEFORE_MEMORY);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine *m; /* building one takes longer than all the rest: it is kept until one has run */
    static GPtrArray *base;
    static unsigned taken;
    struct bytes in = {data, size};
    g_autoptr(GError) error = NULL;
    if (!m)
        m = build();
    if (!base)
        base = base_parts(m);
    unsigned kind = take(&in);
    int made = kind & 1 ? state_memfd(in.data, in.left) : changed(base, &in), older = kind & 2 ? made : -1;
    if (older >= 0)
        compare_with(older);
    int fd = older >= 0 ? upon(base, older) : made;
    bool good = machine_restore(m, fd, &older, older >= 0, &error);
    if (good == (error != NULL) || (error && strchr(error->message, '\n')))
        g_error("%s", error ? error->message : "refused without a reason");
    close(fd);
    if (older >= 0)
        close(older);
    if (good)
        use(m);
    if (good && ++taken % RUN_EVERY == 0) {
        fd = state_memfd("", 0);
        if (!machine_save(m, fd, NULL, NULL))
            g_error("what was loaded cannot be saved");
        close(fd);
        run(m);
        g_clear_pointer(&m, machine_free);
    }
    settle();
    return 0;
}
