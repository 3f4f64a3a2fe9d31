// SPDX-License-Identifier: GPL-2.0-or-later
/* state_manifest.c - what a saved state is of, as JSON at the beginning of its file: for people (`head -c 2000`) and tools.
 * Whoever loads the state believes nothing of it: what decides is in the sections behind it. */
#include "core-vmm/base/cpu_model.h"
#include "core-vmm/machine/drive_media.h"
#include "core-vmm/machine/state.h"
#include <json-glib/json-glib.h>
#include <string.h>

static JsonObject *cpu_object(struct machine *m)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "model", m->cpu_model);
    json_object_set_int_member(o, "count", m->cpus);
    if (strcmp(m->cpu_model, cpu_model_names[CPU_MODEL_HOST])) /* a level says what it needs by its name */
        return o;
    g_autofree char *words = state_features(m);
    g_autoptr(GPtrArray) names = state_feature_names(words, NULL);
    JsonArray *features = json_array_new();
    for (unsigned i = 0; i < names->len; i++)
        json_array_add_string_element(features, names->pdata[i]);
    json_object_set_array_member(o, "features", features);
    return o;
}

static JsonArray *drives_array(struct machine *m)
{
    JsonArray *all = json_array_new();
    for (struct drive *v = drive_next(m, NULL); v; v = drive_next(m, v)) {
        JsonObject *o = json_object_new();
        g_autofree char *file = drive_file(v), *valid = file ? g_utf8_make_valid(file, -1) : NULL;
        json_object_set_string_member(o, "drive", drive_section(v));
        json_object_set_string_member(o, "media", drive_kind(v));
        if (valid) {
            json_object_set_string_member(o, "file", valid);
            json_object_set_int_member(o, "bytes", drive_bytes(v));
        }
        json_array_add_object_element(all, o);
    }
    return all;
}

static char *describe(struct machine *m)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *when = g_date_time_format_iso8601(now);
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "program", "Terrarium " TERRARIUM_VERSION);
    json_object_set_string_member(o, "saved", when);
    json_object_set_string_member(o, "engine", machine_engine(m));
    json_object_set_int_member(o, "memory", machine_memory(m));
    json_object_set_object_member(o, "cpu", cpu_object(m));
    json_object_set_array_member(o, "drives", drives_array(m));
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), o);
    json_object_unref(o);
    g_autofree char *text = json_to_string(node, TRUE);
    return g_strconcat(text, "\n", NULL);
}

bool state_sync_manifest(struct machine *m, const struct state_part *p, struct stream *s, GError **error)
{
    if (s->loading) {
        s->at = s->bytes->len;
        return true;
    }
    g_autofree char *text = describe(m);
    stream_raw(s, text, strlen(text));
    return true;
}
