// SPDX-License-Identifier: GPL-2.0-or-later
/* item.h - one machine, as an object that lists and pages bind to.  What it says comes from the machines library and from the
 * running VM; it keeps nothing of its own. */
#pragma once
#include "gui/manager/job.h"
#include <gdk/gdk.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

enum vm_state {
    VM_OFF,
    VM_SAVED,  /* suspended to the disk */
    VM_BEGINS, /* its process is there and has not told of itself yet */
    VM_RUNNING,
    VM_PAUSED,
    VM_SILENT,  /* its process does not answer */
    VM_DAMAGED, /* its machine.ini is no good */
};

/* Properties (read-only): "title" (what people call it), "group" (machine.group; NULL: none), "words" (what a search is in), "heading"
 * (that stands above it in a list by groups; NULL: none), "is-folded" (of its group only the heading is to be seen),
 * "is-unfolded" (not so), "subtitle" (how it is, in words), "caption" (the same with its group), "state" (enum vm_state), "icon" (of its
 * system), "picture" (GdkTexture; NULL: none), "is-shown" (there is one), "busy" (a change is under way), "fraction" (how far; -1: not
 * known), "problem" (what failed last; NULL: nothing), "is-off" (it can be started), "is-live" (it runs or is paused), "is-running",
 * "is-paused", "info" (counts up when vm_item_info() is new), "settings" (the same of machine.ini). */
G_DECLARE_FINAL_TYPE(VmItem, vm_item, VM, ITEM, GObject)

VmItem *vm_item_new(const char *name);
void vm_item_look(VmItem *m);     /* again: something of it changed */
bool vm_item_is_there(VmItem *m); /* it was not deleted, also not to be made anew by its name */
void vm_item_forget(VmItem *m);   /* it was deleted; lists may still have it for a while */
const char *vm_item_name(VmItem *m);
const char *vm_item_title(VmItem *m);
const char *vm_item_group(VmItem *m); /* NULL: none */
/* By who knows its place in the list.  hidden: machines of its group that only the heading stands for; 0: it is not folded. */
void vm_item_set_heading(VmItem *m, const char *heading, unsigned hidden);
enum vm_state vm_item_state(VmItem *m);
bool vm_item_is_off(VmItem *m);
bool vm_item_is_live(VmItem *m);                    /* it runs or is paused */
uint64_t vm_item_memory(VmItem *m);                 /* bytes */
gint64 vm_item_used(VmItem *m);                     /* when it last started, Unix; 0: never */
JsonObject *vm_item_info(VmItem *m);                /* what the running VM says of itself; NULL: it does not run */
void vm_item_want_pictures(VmItem *m, bool wanted); /* counts: each true needs its false */
/* A change under way; NULL: none. */
VmJob *vm_item_job(VmItem *m);
/* Runs vmctl for it; NULL: it is busy with another change, which its "problem" says then.  The caller's: g_object_unref. */
VmJob *vm_item_run(VmItem *m, const char *title, const char *const *words);
void vm_item_send(VmItem *m, const char *command,
                  JsonObject *args);                      /* to the running VM; a refusal becomes the problem */
void vm_item_set_problem(VmItem *m, const char *problem); /* NULL: it is seen to */
