// SPDX-License-Identifier: GPL-2.0-or-later
/* The scripts ask vmctl itself for verbs, options and machines, so they never go stale. */
#include "core-vmm/vmctl/verbs.h"
#include <stdio.h>
#include <string.h>

static const char bash_script[] =
    "_vmctl() {\n"
    "    local word=\"${COMP_WORDS[COMP_CWORD]}\" verb=\"${COMP_WORDS[1]}\" words\n"
    "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
    "        words=\"@VERBS@\"\n"
    "    elif [[ $word == -* ]]; then\n"
    "        words=$(vmctl \"$verb\" --help 2>/dev/null | grep -o -e '--[a-z-]*' | sort -u)\n"
    "    else\n"
    "        case \"$verb:$COMP_CWORD\" in\n"
    "@PARTS@"
    "            nic:2) words=\"list set connect disconnect forward limit capture\" ;;\n"
    "            nic:3) case \"${COMP_WORDS[2]}\" in\n"
    "                forward) words=\"add rm list\" ;;\n"
    "                capture) words=\"start stop list\" ;;\n"
    "                *) words=$(vmctl list -o name 2>/dev/null) ;;\n"
    "                esac ;;\n"
    "            nic:5) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
    "            help:2) words=\"@VERBS@\" ;;\n"
    "            run:*|screen:4|media:4|disk:*) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
    "            *) words=$(vmctl list -o name 2>/dev/null) ;;\n"
    "        esac\n"
    "    fi\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
    "}\n"
    "complete -o filenames -F _vmctl vmctl\n";

static const char zsh_script[] =
    "#compdef vmctl\n"
    "_vmctl() {\n"
    "    local verb=$words[2]\n"
    "    if (( CURRENT == 2 )); then\n"
    "        compadd @VERBS@\n"
    "    elif [[ $words[CURRENT] == -* ]]; then\n"
    "        compadd -- ${(f)\"$(vmctl $verb --help 2>/dev/null | grep -o -e '--[a-z-]*' | sort -u)\"}\n"
    "    else\n"
    "        case $verb:$CURRENT in\n"
    "@PARTS@"
    "            nic:3) compadd list set connect disconnect forward limit capture ;;\n"
    "            nic:4) case $words[3] in\n"
    "                forward) compadd add rm list ;;\n"
    "                capture) compadd start stop list ;;\n"
    "                *) compadd -- ${(f)\"$(vmctl list -o name 2>/dev/null)\"} ;;\n"
    "                esac ;;\n"
    "            nic:6) _files ;;\n"
    "            help:3) compadd @VERBS@ ;;\n"
    "            run:*|screen:5|media:5|disk:*) _files ;;\n"
    "            *) compadd -- ${(f)\"$(vmctl list -o name 2>/dev/null)\"} ;;\n"
    "        esac\n"
    "    fi\n"
    "}\n"
    "if [[ $funcstack[1] = _vmctl ]]; then\n" /* it was loaded because somebody wants to complete */
    "    _vmctl\n"
    "else\n"
    "    compdef _vmctl vmctl\n"
    "fi\n";

static const char fish_script[] =
    "complete -c vmctl -f\n"
    "complete -c vmctl -n __fish_use_subcommand -a '@VERBS@'\n"
    "complete -c vmctl -n '__fish_seen_subcommand_from run disk' -F\n"
    "@PARTS@"
    "complete -c vmctl -n '__fish_seen_subcommand_from nic' -a 'list set connect disconnect forward limit capture'\n"
    "complete -c vmctl -n '__fish_seen_subcommand_from forward' -a 'add rm list'\n"
    "complete -c vmctl -n '__fish_seen_subcommand_from capture' -a 'start stop list'\n"
    "complete -c vmctl -n '__fish_seen_subcommand_from capture' -F\n"
    "complete -c vmctl -n 'not __fish_use_subcommand; and not __fish_seen_subcommand_from run' "
    "-a '(vmctl list -o name 2>/dev/null)'\n"
    "complete -c vmctl -n 'string match -q -- \"-*\" (commandline -ct)' "
    "-a '(vmctl (commandline -opc)[2] --help 2>/dev/null | string match -r -a -- \"--[a-z-]+\")'\n";

/* What a verb's second word may be, with spaces between: of "take NAME | list|tree NAME" take, list and tree; "" if it is free.
 * nic has parts of parts; the scripts know them. */
static char *parts_of(const struct verb *v)
{
    GString *words = g_string_new(NULL);
    bool first = g_ascii_islower(*v->args) && strcmp(v->name, "nic");
    g_auto(GStrv) ways = g_strsplit(first ? v->args : "", "|", -1);
    for (char **w = ways; *w && ways[1]; w++) {
        const char *word = g_strstrip(*w);
        gsize n = strspn(word, "abcdefghijklmnopqrstuvwxyz-");
        if (n && (word[n] == 0 || word[n] == ' '))
            g_string_append_printf(words, "%s%.*s", words->len ? " " : "", (int)n, word);
    }
    return g_string_free(words, FALSE);
}

static char *replaced(const char *text, const char *mark, const char *by)
{
    g_auto(GStrv) pieces = g_strsplit(text, mark, -1);
    return g_strjoinv(by, pieces);
}

/* part: the script's line for a verb with parts. */
static void print_script(const char *script, const char *part)
{
    g_autoptr(GString) verbs = g_string_new(NULL), parts = g_string_new(NULL);
    for (const struct verb *const *v = verbs_all(); *v; v++) {
        g_autofree char *words = parts_of(*v), *named = replaced(part, "@VERB@", (*v)->name);
        g_autofree char *line = replaced(named, "@WORDS@", words);
        g_string_append_printf(verbs, "%s%s", verbs->len ? " " : "", (*v)->name);
        g_string_append(parts, *words ? line : "");
    }
    g_autofree char *with_verbs = replaced(script, "@VERBS@", verbs->str);
    g_autofree char *text = replaced(with_verbs, "@PARTS@", parts->str);
    fputs(text, stdout);
}

static int completion(const struct verb *v, int argc, char **argv)
{
    int code;
    if (!verb_options(v, NULL, &argc, &argv, 1, 1, &code))
        return code;
    if (!strcmp(argv[1], "bash"))
        print_script(bash_script, "            @VERB@:2) words=\"@WORDS@\" ;;\n");
    else if (!strcmp(argv[1], "zsh"))
        print_script(zsh_script, "            @VERB@:3) compadd @WORDS@ ;;\n");
    else if (!strcmp(argv[1], "fish"))
        print_script(fish_script, "complete -c vmctl -n '__fish_seen_subcommand_from @VERB@' -a '@WORDS@'\n");
    else
        return fail(EXIT_CODE_USAGE, "completion for %s is not known; it can do bash, zsh and fish", argv[1]);
    return EXIT_CODE_OK;
}

const struct verb verb_completion = {"completion", "bash|zsh|fish", "print a script for command line completion",
                                     "  vmctl completion bash > ~/.local/share/bash-completion/completions/vmctl",
                                     completion};
