// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_doctor.c - vmctl doctor. */
#include "core-vmm/install/doctor.h"
#include "core-vmm/vmctl/verbs.h"

static void set_text(JsonObject *o, const char *name, const char *text)
{
    if (text)
        json_object_set_string_member(o, name, text);
}

static JsonObject *finding_json(const struct finding *f)
{
    JsonObject *o = json_object_new();
    set_text(o, "id", f->id);
    set_text(o, "grade", finding_grade_name(f->grade));
    set_text(o, "machine", f->machine);
    set_text(o, "what", f->what);
    set_text(o, "cause", f->cause);
    set_text(o, "evidence", f->evidence);
    set_text(o, "fix", f->fix);
    return o;
}

static void tell_json(const GPtrArray *findings)
{
    JsonObject *o = json_object_new();
    JsonArray *a = json_array_new();
    for (guint i = 0; i < findings->len; i++)
        json_array_add_object_element(a, finding_json(findings->pdata[i]));
    json_object_set_array_member(o, "findings", a);
    print_json(o);
}

static void row(const char *what, const char *text)
{
    if (text)
        print("         %-9s %s\n", what, text);
}

/* Of what is as it should be one line is enough. */
static void tell(const GPtrArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        const struct finding *f = findings->pdata[i];
        print("%-8s %s\n", finding_grade_name(f->grade), f->what);
        if (f->grade == FINDING_GOOD)
            continue;
        row("cause", f->cause);
        row("evidence", f->evidence);
        row("fix", f->fix);
    }
}

static int doctor(const struct verb *v, int argc, char **argv)
{
    g_autofree char *output = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 0, 0, &code) || !output_parse(output, &how, &code))
        return code;
    g_autoptr(GPtrArray) findings = doctor_look();
    if (how == OUTPUT_JSON)
        tell_json(findings);
    else
        tell(findings);
    unsigned problems = 0;
    for (guint i = 0; i < findings->len; i++)
        problems += ((struct finding *)findings->pdata[i])->grade == FINDING_PROBLEM;
    return problems ? fail(EXIT_CODE_FAILED, "%u problem%s found", problems, problems == 1 ? "" : "s") : EXIT_CODE_OK;
}

const struct verb verb_doctor = {"doctor", "", "look what is wrong with this host and its machines, and what mends it",
                                 "  vmctl doctor\n  vmctl doctor -o json", doctor};
