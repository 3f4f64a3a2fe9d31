// SPDX-License-Identifier: GPL-2.0-or-later
/* machine.ini as hostile bytes: parsing, the schema, every reader of values; and names and targets from strangers. */
#include "core-vmm/api/config.h"
#include "core-vmm/host/char_target.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/paths.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_values(GKeyFile *file, const char *section, const char *key)
{
    struct config c = {file, "fuzz.ini", section};
    static const char *const words[] = {"one", "two", NULL};
    uint64_t bytes;
    int64_t number;
    bool flag;
    unsigned index;
    const struct schema_key *k = schema_find(section, key, NULL);
    if (!k)
        return;
    g_autofree char *text = config_string(&c, key), *path = config_path(&c, key);
    g_assert_true(!text == !path);
    g_autoptr(GError) size = NULL, range = NULL, onoff = NULL, choice = NULL;
    if (!config_size(&c, key, &bytes, &size))
        g_assert_nonnull(size);
    if (!config_number(&c, key, &number, &range))
        g_assert_nonnull(range);
    else if (k->type == SCHEMA_NUMBER)
        g_assert_true(!text || (number >= k->low && number <= k->high));
    if (!config_flag(&c, key, &flag, &onoff))
        g_assert_nonnull(onoff);
    if (!config_choice(&c, key, words, &index, &choice))
        g_assert_nonnull(choice);
    else
        g_assert_cmpuint(index, <, 2);
}

static void read_file(const char *text, size_t size)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    if (!g_key_file_load_from_data(file, text, size, G_KEY_FILE_KEEP_COMMENTS, NULL))
        return;
    if (!schema_check_file(file, "fuzz.ini", &error))
        g_assert_nonnull(error);
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s; s++) {
        g_auto(GStrv) keys = g_key_file_get_keys(file, *s, NULL, NULL);
        for (char **k = keys; k && *k; k++)
            read_values(file, *s, *k);
    }
}

static void read_words(const char *text)
{
    enum char_kind kind;
    const char *path;
    uint64_t bytes, back;
    if (char_target_parse(text, &kind, &path) && path)
        g_assert_true(path > text && *path);
    if (vm_name_check(text, NULL))
        g_assert_true(*text != '.' && !strchr(text, '/') && strlen(text) <= 256);
    if (size_parse(text, &bytes)) {
        g_autofree char *again = size_format(bytes);
        g_assert_true(size_parse(again, &back) && back == bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    read_file((const char *)data, size);
    read_words(text);
    return 0;
}
