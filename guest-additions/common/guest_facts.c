// SPDX-License-Identifier: GPL-2.0-or-later
/* guest_facts.c - see inside.h.  Written on vCPUs' threads, read on the loop thread. */
#include "guest-additions/common/inside.h"
#include <string.h>

struct guest_facts {
    GMutex lock;
    GHashTable *facts, *variables; /* texts by names */
    size_t variable_bytes;
    GPtrArray *addresses;
};

struct guest_facts *guest_facts_new(void)
{
    struct guest_facts *f = g_new0(struct guest_facts, 1);
    g_mutex_init(&f->lock);
    f->facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    f->variables = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    f->addresses = g_ptr_array_new_with_free_func(g_free);
    return f;
}

void guest_facts_free(struct guest_facts *f)
{
    g_hash_table_unref(f->facts);
    g_hash_table_unref(f->variables);
    g_ptr_array_unref(f->addresses);
    g_mutex_clear(&f->lock);
    g_free(f);
}

void guest_facts_clear(struct guest_facts *f)
{
    g_mutex_lock(&f->lock);
    g_hash_table_remove_all(f->facts);
    g_ptr_array_set_size(f->addresses, 0);
    g_mutex_unlock(&f->lock);
}

/* As one finds it: without zero bytes, UTF-8. */
static char *checked_text(const char *value, size_t bytes, size_t most)
{
    bool good = bytes <= most && !memchr(value, 0, bytes) && g_utf8_validate_len(value, bytes, NULL);
    return good ? g_strndup(value, bytes) : NULL;
}

char *guest_line(const char *said, size_t bytes, size_t most)
{
    g_autofree char *text = g_utf8_make_valid(said, MIN(bytes, most));
    GString *line = g_string_new(NULL);
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        g_string_append_unichar(line, g_unichar_iscntrl(c) ? ' ' : c);
    }
    return g_string_free(line, FALSE);
}

bool guest_facts_set(struct guest_facts *f, const char *name, const char *value, size_t bytes)
{
    g_autofree char *good = checked_text(value, bytes, FACT_BYTES);
    char *text = good ? guest_line(good, bytes, FACT_BYTES) : NULL;
    if (!text)
        return false;
    g_mutex_lock(&f->lock);
    bool room = g_hash_table_contains(f->facts, name) || g_hash_table_size(f->facts) < FACTS_MOST;
    if (room)
        g_hash_table_replace(f->facts, g_strdup(name), text);
    g_mutex_unlock(&f->lock);
    if (!room)
        g_free(text);
    return room;
}

static char *look(struct guest_facts *f, GHashTable *table, const char *name)
{
    g_mutex_lock(&f->lock);
    char *value = g_strdup(g_hash_table_lookup(table, name));
    g_mutex_unlock(&f->lock);
    return value;
}

char *guest_facts_get(struct guest_facts *f, const char *name)
{
    return look(f, f->facts, name);
}

void guest_facts_set_addresses(struct guest_facts *f, GPtrArray *addresses)
{
    g_mutex_lock(&f->lock);
    g_ptr_array_set_size(f->addresses, 0);
    for (unsigned i = 0; i < MIN(addresses->len, ADDRESSES_MOST); i++)
        g_ptr_array_add(f->addresses, g_strdup(g_ptr_array_index(addresses, i)));
    g_mutex_unlock(&f->lock);
}

/* ---- guestinfo.* ---- */

bool guest_facts_set_variable(struct guest_facts *f, const char *key, const char *value, size_t bytes)
{
    g_autofree char *text = checked_text(value, bytes, VARIABLE_BYTES);
    size_t key_bytes = strlen(key);
    if (!text || !key_bytes || key_bytes > VARIABLE_KEY || !g_utf8_validate(key, -1, NULL))
        return false;
    g_mutex_lock(&f->lock);
    const char *old = g_hash_table_lookup(f->variables, key);
    size_t before = old ? key_bytes + strlen(old) : 0;
    size_t total = f->variable_bytes - before + key_bytes + bytes;
    bool room = total <= VARIABLES_BYTES && (old || g_hash_table_size(f->variables) < VARIABLES_MOST);
    if (room) {
        f->variable_bytes = total;
        g_hash_table_replace(f->variables, g_strdup(key), g_steal_pointer(&text));
    }
    g_mutex_unlock(&f->lock);
    return room;
}

char *guest_facts_variable(struct guest_facts *f, const char *key)
{
    return look(f, f->variables, key);
}

/* ---- for people and programs ---- */

JsonObject *guest_facts_describe(struct guest_facts *f)
{
    GHashTableIter i;
    gpointer name, value;
    g_mutex_lock(&f->lock);
    JsonObject *o = g_hash_table_size(f->facts) || f->addresses->len ? json_object_new() : NULL;
    g_hash_table_iter_init(&i, f->facts);
    while (o && g_hash_table_iter_next(&i, &name, &value))
        json_object_set_string_member(o, name, value);
    if (o && f->addresses->len) {
        JsonArray *list = json_array_new();
        for (unsigned n = 0; n < f->addresses->len; n++)
            json_array_add_string_element(list, g_ptr_array_index(f->addresses, n));
        json_object_set_array_member(o, "addresses", list);
    }
    g_mutex_unlock(&f->lock);
    return o;
}
