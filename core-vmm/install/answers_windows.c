// SPDX-License-Identifier: GPL-2.0-or-later
/* answers_windows.c - autounattend.xml for Windows 7, 8, 10 and 11 and their servers.
 * Spec: Microsoft, "Unattended Windows Setup Reference": the passes and, for each component, its settings.
 *
 * Windows Setup looks for the file in the root of every CD drive.  It has passes: windowsPE is read while Setup runs from the
 * medium (language, disk, edition, licence), specialize when the copied system starts first (its name), oobeSystem before
 * somebody logs in (account, what the welcome pages would ask).  A pass after windowsPE counts only if that pass is there.
 *
 * Setup of Windows 11 looks for TPM 2.0, Secure Boot and 4 GB first; values in LabConfig tell it not to.  Its welcome pages want
 * the network and a Microsoft account; a local account in the file, and BypassNRO, do without. */
#include "core-vmm/install/answers.h"
#include "core-vmm/host/config_error.h"
#include <string.h>

struct xml {
    GString *text;
    unsigned depth;
    const char *architecture;
    const struct unattended *u;
    bool since_8, since_10, is_11;
};

/* ---- XML ---- */

static void indent(struct xml *x)
{
    for (unsigned i = 0; i < x->depth; i++)
        g_string_append(x->text, "  ");
}

static void begin(struct xml *x, const char *element)
{
    indent(x);
    g_string_append_printf(x->text, "<%s>\n", element);
    x->depth++;
}

/* Of an element that a list has one of. */
static void begin_added(struct xml *x, const char *element)
{
    indent(x);
    g_string_append_printf(x->text, "<%s wcm:action=\"add\">\n", element);
    x->depth++;
}

static void end(struct xml *x, const char *element)
{
    x->depth--;
    indent(x);
    g_string_append_printf(x->text, "</%s>\n", element);
}

static void value(struct xml *x, const char *element, const char *text)
{
    g_autofree char *escaped = g_markup_escape_text(text, -1);
    indent(x);
    g_string_append_printf(x->text, "<%s>%s</%s>\n", element, escaped, element);
}

static void number(struct xml *x, const char *element, unsigned n)
{
    g_autofree char *text = g_strdup_printf("%u", n);
    value(x, element, text);
}

static void begin_component(struct xml *x, const char *name)
{
    indent(x);
    g_string_append_printf(x->text,
                           "<component name=\"%s\" processorArchitecture=\"%s\" publicKeyToken=\"31bf3856ad364e35\" "
                           "language=\"neutral\" versionScope=\"nonSxS\">\n",
                           name, x->architecture);
    x->depth++;
}

static void begin_pass(struct xml *x, const char *pass)
{
    indent(x);
    g_string_append_printf(x->text, "<settings pass=\"%s\">\n", pass);
    x->depth++;
}

/* Not a cipher: Windows itself writes passwords so, to keep them from being read over a shoulder. */
static void password(struct xml *x, const char *element, const char *text)
{
    g_autofree char *with = g_strconcat(text, element, NULL);
    glong n = 0;
    g_autofree gunichar2 *wide = g_utf8_to_utf16(with, -1, NULL, &n, NULL);
    g_autofree char *coded = g_base64_encode((guchar *)wide, n * sizeof *wide);
    explicit_bzero(with, strlen(with));
    begin(x, element);
    value(x, "Value", coded);
    value(x, "PlainText", "false");
    end(x, element);
}

/* ---- languages ---- */

/* ui: the language that Setup and the system are shown in, which must be on the medium. */
static void international(struct xml *x, const char *component, const char *ui, bool setup)
{
    g_autofree char *locale = windows_locale(x->u->locale);
    const char *keyboard = windows_keyboard(x->u->keyboard);
    begin_component(x, component);
    if (setup) {
        begin(x, "SetupUILanguage");
        value(x, "UILanguage", ui);
        end(x, "SetupUILanguage");
    }
    value(x, "InputLocale", keyboard ? keyboard : "0409:00000409");
    value(x, "SystemLocale", locale);
    value(x, "UILanguage", ui);
    value(x, "UserLocale", locale);
    end(x, "component");
}

/* The user's own if it is there, else one of the same tongue, else the medium's first. */
static const char *ui_language(const struct unattended *u, const struct medium *m)
{
    g_autofree char *locale = windows_locale(u->locale);
    for (int length = 5; m && length > 1; length -= 3)
        for (char **l = m->languages; *l; l++)
            if (!g_ascii_strncasecmp(*l, locale, length))
                return *l;
    return m && *m->languages ? *m->languages : "en-US";
}

/* ---- windowsPE ---- */

static void create_partition(struct xml *x, unsigned order, const char *type, unsigned mib)
{
    begin_added(x, "CreatePartition");
    if (!mib)
        value(x, "Extend", "true");
    number(x, "Order", order);
    if (mib)
        number(x, "Size", mib);
    value(x, "Type", type);
    end(x, "CreatePartition");
}

static void modify_partition(struct xml *x, unsigned order, const char *format, const char *label, const char *letter,
                             bool active)
{
    begin_added(x, "ModifyPartition");
    if (active)
        value(x, "Active", "true");
    if (format)
        value(x, "Format", format);
    if (label)
        value(x, "Label", label);
    if (letter)
        value(x, "Letter", letter);
    number(x, "Order", order);
    number(x, "PartitionID", order);
    end(x, "ModifyPartition");
}

/* The partition for Windows comes last, so that it can grow. */
static void disk(struct xml *x)
{
    bool uefi = x->u->uefi;
    begin(x, "DiskConfiguration");
    begin_added(x, "Disk");
    begin(x, "CreatePartitions");
    create_partition(x, 1, uefi ? "EFI" : "Primary", uefi ? 260 : 500);
    if (uefi)
        create_partition(x, 2, "MSR", 128);
    create_partition(x, uefi ? 3 : 2, "Primary", 0);
    end(x, "CreatePartitions");
    begin(x, "ModifyPartitions");
    modify_partition(x, 1, uefi ? "FAT32" : "NTFS", "System", NULL, !uefi);
    if (uefi)
        modify_partition(x, 2, NULL, NULL, NULL, false);
    modify_partition(x, uefi ? 3 : 2, "NTFS", "Windows", "C", false);
    end(x, "ModifyPartitions");
    number(x, "DiskID", 0);
    value(x, "WillWipeDisk", "true");
    end(x, "Disk");
    value(x, "WillShowUI", "OnError");
    end(x, "DiskConfiguration");
}

/* index 0: the medium has one image, or the product key says which. */
static void image(struct xml *x, unsigned index)
{
    begin(x, "ImageInstall");
    begin(x, "OSImage");
    if (index) {
        begin(x, "InstallFrom");
        begin_added(x, "MetaData");
        value(x, "Key", "/IMAGE/INDEX");
        number(x, "Value", index);
        end(x, "MetaData");
        end(x, "InstallFrom");
    }
    begin(x, "InstallTo");
    number(x, "DiskID", 0);
    number(x, "PartitionID", x->u->uefi ? 3 : 2);
    end(x, "InstallTo");
    value(x, "WillShowUI", "OnError");
    end(x, "OSImage");
    end(x, "ImageInstall");
}

static void command(struct xml *x, unsigned order, const char *path)
{
    begin_added(x, "RunSynchronousCommand");
    number(x, "Order", order);
    value(x, "Path", path);
    end(x, "RunSynchronousCommand");
}

static void lab_config(struct xml *x)
{
    static const char *const checks[] = {"BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck", "BypassCPUCheck",
                                         "BypassStorageCheck"};
    begin(x, "RunSynchronous");
    for (unsigned i = 0; i < G_N_ELEMENTS(checks); i++) {
        g_autofree char *line =
            g_strdup_printf("reg.exe add HKLM\\SYSTEM\\Setup\\LabConfig /v %s /t REG_DWORD /d 1 /f", checks[i]);
        command(x, i + 1, line);
    }
    end(x, "RunSynchronous");
}

static void user_data(struct xml *x)
{
    begin(x, "UserData");
    begin(x, "ProductKey");
    if (x->u->key || x->since_8)
        value(x, "Key", x->u->key ? x->u->key : ""); /* empty: Setup does not ask, and the edition is the image's */
    value(x, "WillShowUI", x->u->key ? "OnError" : "Never");
    end(x, "ProductKey");
    value(x, "AcceptEula", "true");
    value(x, "FullName", x->u->full_name);
    value(x, "Organization", "");
    end(x, "UserData");
}

static void windows_pe(struct xml *x, const char *ui, unsigned index)
{
    begin_pass(x, "windowsPE");
    international(x, "Microsoft-Windows-International-Core-WinPE", ui, true);
    begin_component(x, "Microsoft-Windows-Setup");
    disk(x);
    image(x, index);
    if (x->is_11)
        lab_config(x);
    user_data(x);
    end(x, "component");
    end(x, "settings");
}

/* ---- specialize ---- */

static void specialize(struct xml *x)
{
    begin_pass(x, "specialize");
    if (x->since_10) {
        begin_component(x, "Microsoft-Windows-Deployment");
        begin(x, "RunSynchronous");
        command(
            x, 1,
            "reg.exe add HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\OOBE /v BypassNRO /t REG_DWORD /d 1 /f");
        end(x, "RunSynchronous");
        end(x, "component");
    }
    begin_component(x, "Microsoft-Windows-Shell-Setup");
    value(x, "ComputerName", x->u->hostname);
    if (x->u->key)
        value(x, "ProductKey", x->u->key);
    end(x, "component");
    end(x, "settings");
}

/* ---- oobeSystem ---- */

static void auto_logon(struct xml *x)
{
    begin(x, "AutoLogon");
    password(x, "Password", x->u->password);
    value(x, "Enabled", "true");
    number(x, "LogonCount", 1);
    value(x, "Username", x->u->user);
    end(x, "AutoLogon");
}

static void welcome(struct xml *x)
{
    begin(x, "OOBE");
    value(x, "HideEULAPage", "true");
    if (x->since_8) {
        value(x, "HideLocalAccountScreen", "true");
        value(x, "HideOEMRegistrationScreen", "true");
        value(x, "HideOnlineAccountScreens", "true");
    }
    value(x, "HideWirelessSetupInOOBE", "true");
    if (!x->since_8)
        value(x, "NetworkLocation", "Home");
    number(x, "ProtectYourPC", 3);
    end(x, "OOBE");
}

static void account(struct xml *x)
{
    begin(x, "UserAccounts");
    begin(x, "LocalAccounts");
    begin_added(x, "LocalAccount");
    password(x, "Password", x->u->password);
    value(x, "DisplayName", x->u->full_name);
    value(x, "Group", "Administrators");
    value(x, "Name", x->u->user);
    end(x, "LocalAccount");
    end(x, "LocalAccounts");
    end(x, "UserAccounts");
}

static void oobe_system(struct xml *x, const char *ui)
{
    const char *zone = windows_time_zone(x->u->time_zone);
    begin_pass(x, "oobeSystem");
    international(x, "Microsoft-Windows-International-Core", ui, false);
    begin_component(x, "Microsoft-Windows-Shell-Setup");
    auto_logon(x);
    welcome(x);
    value(x, "TimeZone", zone ? zone : "UTC");
    account(x);
    end(x, "component");
    end(x, "settings");
}

/* ---- the medium's editions ---- */

static const struct medium_edition *edition_of(const struct medium *m, const char *said)
{
    char *end;
    guint64 n = g_ascii_strtoull(said, &end, 10);
    for (guint i = 0; i < m->editions->len; i++) {
        const struct medium_edition *e = m->editions->pdata[i];
        if ((*said && !*end && e->index == n) || (e->id && !g_ascii_strcasecmp(e->id, said)) ||
            (e->name && !g_ascii_strcasecmp(e->name, said)))
            return e;
    }
    return NULL;
}

/* Of editions that one can have: "Professional" if nobody said which, else the first. */
static bool choose(const struct unattended *u, const struct medium *m, unsigned *index, GError **error)
{
    const struct medium_edition *e = NULL;
    *index = 0;
    if (!m || !m->editions->len)
        return true;
    if (u->edition)
        e = edition_of(m, u->edition);
    else if (!u->key)
        e = edition_of(m, "Professional");
    if (u->edition && !e) {
        g_autoptr(GString) names = g_string_new(NULL);
        for (guint i = 0; i < m->editions->len; i++) {
            const struct medium_edition *o = m->editions->pdata[i];
            g_string_append_printf(names, "%s%u (%s)", i ? ", " : "", o->index, o->name ? o->name : "?");
        }
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "there is no edition \"%s\" on the medium; there are %s",
                    u->edition, names->str);
        return false;
    }
    if (!e && !u->key)
        e = m->editions->pdata[0];
    *index = e ? e->index : 0;
    return true;
}

/* ---- all ---- */

static const char *architecture_of(const struct medium *m)
{
    if (m && !g_strcmp0(m->architecture, "i686"))
        return "x86";
    return m && !g_strcmp0(m->architecture, "aarch64") ? "arm64" : "amd64";
}

/* What a medium that nobody looked at would be is not known; then the newest is meant, which takes what the others do. */
static unsigned build_of(const struct medium *m)
{
    const struct medium_edition *e = m && m->editions->len ? m->editions->pdata[0] : NULL;
    return e && e->build ? e->build : 22000;
}

bool answers_windows(const struct unattended *u, const struct medium *m, GPtrArray *files, GError **error)
{
    unsigned build = build_of(m), index;
    struct xml x = {.text = g_string_new("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"),
                    .architecture = architecture_of(m),
                    .u = u,
                    .since_8 = build >= 9200,
                    .since_10 = build >= 10240,
                    .is_11 = build >= 22000};
    if (!choose(u, m, &index, error)) {
        g_string_free(x.text, TRUE);
        return false;
    }
    g_string_append(x.text, "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\" "
                            "xmlns:wcm=\"http://schemas.microsoft.com/WMIConfig/2002/State\">\n");
    x.depth = 1;
    windows_pe(&x, ui_language(u, m), index);
    specialize(&x);
    oobe_system(&x, ui_language(u, m));
    g_string_append(x.text, "</unattend>\n");
    answers_add(files, "autounattend.xml", g_string_free(x.text, FALSE));
    return true;
}
