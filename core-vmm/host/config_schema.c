// SPDX-License-Identifier: GPL-2.0-or-later
/* The tables come first; the checks that use them follow. */
#include "core-vmm/host/config_schema.h"
#include "core-vmm/api/config.h"
#include "core-vmm/base/cpu_model.h"
#include "core-vmm/base/device_models.h"
#include "core-vmm/base/forward.h"
#include "core-vmm/base/net_range.h"
#include "core-vmm/base/vnc_listen.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/char_target.h"
#include "core-vmm/host/suggest.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define BOM            "\xef\xbb\xbf" /* the byte-order mark in UTF-8 */
#define FILE_BYTES_MAX (1 << 20)
#define KIB            (INT64_C(1) << 10)
#define MIB            (INT64_C(1) << 20)
#define TIB            (INT64_C(1) << 40)
#define WORDS(...)                                                                                                     \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

static const struct schema_key machine_keys[] = {
    {"name", SCHEMA_TEXT, NULL, .help = "what people call the machine; the folder's name if missing", .at_once = true},
    {"group", SCHEMA_TEXT, NULL, .help = "a word that puts it together with others in the manager, like Work",
     .at_once = true},
    {"uuid", SCHEMA_UUID, NULL, .help = "what SMBIOS calls the machine; if missing, it has none"},
    {"os", SCHEMA_TEXT, NULL, .help = "the system in it, as vmctl create --os spells it: for people and icons",
     .at_once = true},
    {"memory", SCHEMA_SIZE, "1G", MIB, TIB / 2, .help = "the guest's RAM, in whole pages of 4K", .step = 4096},
    {"cpus", SCHEMA_NUMBER, "1", 1, 32, .help = "virtual CPUs"},
    {"cpu-limit", SCHEMA_NUMBER, NULL, 1, 6400, .at_once = true,
     .help = "how much of the host's CPUs the VM process may use, in percent of one; if missing, all there is"},
    {"sockets", SCHEMA_NUMBER, NULL, 1, 32, .help = "packages that the CPUs are spread over; if missing, one each"},
    {"engine", SCHEMA_CHOICE, "auto", .words = WORDS("auto", "kvm", "soft", "interp"),
     .help = "what runs the guest's code: hardware virtualization, the translator, the interpreter, or the best that "
             "works"},
    {"engine-options", SCHEMA_TEXT, NULL, .help = "for whoever debugs an engine: comma-separated, see its page"},
    {"cpu-model", SCHEMA_CHOICE, "host", .words = cpu_model_names,
     .help = "what CPUID shows: this host's CPU, or a level that is the same on every host of that level"},
    {"firmware", SCHEMA_PATH, "bios", .words = WORDS("bios", "uefi", "uefi-secure"),
     .help = "SeaBIOS, UEFI, UEFI that starts signed programs only, or a firmware image's path"},
    {"board", SCHEMA_NUMBER, "1", 1, 3,
     .help = "the mainboard's version, which new machines say and keep: 1 has no HPET (and no WAET table); 3 has the "
             "FADT of ACPI 2.0, with which Windows 2000 does not start"},
    {"kernel", SCHEMA_PATH, NULL, .help = "boot this Linux kernel or Multiboot image directly"},
    {"initrd", SCHEMA_PATH, NULL, .help = "with kernel: the initial RAM disk; for Multiboot the modules, by commas"},
    {"cmdline", SCHEMA_TEXT, NULL, .help = "with kernel: its command line"},
    {"boot", SCHEMA_LIST, "disk,cdrom,floppy,network", .words = WORDS("disk", "cdrom", "floppy", "network", "kernel"),
     .help = "what the firmware tries, in this order; a kernel that is not among them comes first"},
    {"boot-menu", SCHEMA_FLAG, "off", .help = "the firmware waits for ESC and offers what it can boot"},
    {"floppy-signature", SCHEMA_CHOICE, "auto", .words = WORDS("auto", "on", "off"),
     .help = "must a floppy's boot sector end with 55 AA; auto: not if it begins like boot code"},
    {"on-reset", SCHEMA_CHOICE, "reset", .words = WORDS("reset", "stop"),
     .help = "what a guest's reset or triple fault does"},
    {"clock", SCHEMA_CHOICE, "utc", .words = WORDS("utc", "local"),
     .help = "what the real-time clock shows: utc for Linux, local for Windows"},
    {"rtc", SCHEMA_CHOICE, "host", .words = WORDS("host", "guest"),
     .help = "the real-time clock goes on while the machine stands still, with the host's; or stands too"},
    {NULL},
};
static const struct schema_key serial_keys[] = {
    {"target", SCHEMA_CHAR, "none",
     .help = "the far end: none, stdio, pty, file:PATH or socket:PATH (listens on a Unix socket)"},
    {NULL},
};
static const struct schema_key parallel_keys[] = {
    {"target", SCHEMA_CHAR, "none", .help = "where what is printed goes, as for serial: file:PATH"},
    {NULL},
};
static const char *const formats[] = {"raw", "qcow2", "vdi", "vmdk", "vhd", "vhdx", NULL};
#define SLICE_KEYS                                                                                                     \
    {"offset",                                                                                                         \
     SCHEMA_SIZE,                                                                                                      \
     NULL,                                                                                                             \
     0,                                                                                                                \
     INT64_MAX,                                                                                                        \
     .step = 512,                                                                                                      \
     .help = "a part of a raw file or block device: where it begins"},                                                 \
    {                                                                                                                  \
        "size", SCHEMA_SIZE, NULL, 512, TIB << 16, .step = 512,                                                        \
                                                   .help = "and how long it is; if missing, up to the end"             \
    }
#define LIMIT_KEYS                                                                                                     \
    {"limit-bytes",                                                                                                    \
     SCHEMA_SIZE,                                                                                                      \
     NULL,                                                                                                             \
     4 * KIB,                                                                                                          \
     TIB,                                                                                                              \
     .at_once = true,                                                                                                  \
     .help = "bytes that it may move in a second; if missing, any number"},                                            \
    {                                                                                                                  \
        "limit-operations", SCHEMA_NUMBER, NULL, 1, 100000000, .at_once = true,                                        \
                                                               .help = "requests in a second; if missing, any number"  \
    }
#define CACHE_KEY(about)                                                                                               \
    {                                                                                                                  \
        "cache", SCHEMA_CHOICE, "writeback", .words = WORDS("writeback", "writethrough", "none", "unsafe"),            \
                                             .help = about                                                             \
    }
/* What all drives but floppies have; about_file, about_media: the help for those keys. */
#define DRIVE_KEYS(about_file, about_media)                                                                            \
    {"file", SCHEMA_PATH, NULL, .help = about_file},                                                                   \
        {"format", SCHEMA_CHOICE, NULL, .words = formats,                                                              \
         .help = "the image's format; if missing, what the file's ending says, else raw"},                             \
        {"media", SCHEMA_CHOICE, "disk", .words = WORDS("disk", "cdrom"), .help = about_media},                        \
        {"readonly", SCHEMA_FLAG, "off", .help = "the guest may not write; a CD never can"},                           \
        {"independent", SCHEMA_FLAG, "off",                                                                            \
         .help = "a disk that stays out of snapshots, and as it is when the machine goes back"},                       \
        CACHE_KEY("when a write counts as done: in the host's cache, on the disk, past the cache, or never flushed"),  \
        {"serial", SCHEMA_TEXT, NULL, .help = "the drive's serial number, at most 20 characters"}, SLICE_KEYS,         \
        LIMIT_KEYS,                                                                                                    \
    {                                                                                                                  \
        "geometry", SCHEMA_NUMBERS, NULL,                                                                              \
            .separator = '/', .words = WORDS("1-65535", "1-255", "1-63"),                                              \
            .help = "a disk's CYLINDERS/HEADS/SECTORS, like 615/4/17; if missing, what its partition table counts by"  \
    }
static const struct schema_key drive_keys[] = {
    DRIVE_KEYS("the image; a CD drive may be empty, and a SATA or SCSI bay", "what kind of drive it is"),
    {NULL},
};
static const struct schema_key floppy_keys[] = {
    {"file", SCHEMA_PATH, NULL, .help = "the image; missing: an empty drive"},
    {"format", SCHEMA_CHOICE, NULL, .words = formats, .help = "as for ide"},
    {"readonly", SCHEMA_FLAG, "off", .help = "write-protected"},
    CACHE_KEY("as for ide"),
    SLICE_KEYS,
    LIMIT_KEYS,
    {"speed", SCHEMA_CHOICE, "fast", .words = WORDS("fast", "real"),
     .help = "as fast as the host can, or with a real drive's times for steps, turns and errors"},
    {NULL},
};
static const struct schema_key video_keys[] = {
    {"type", SCHEMA_CHOICE, "vga", .words = WORDS("vga", "svga", "none"),
     .help = "the graphics card; svga: VMware SVGA II"},
    {"memory", SCHEMA_SIZE, "16M", MIB, 256 * MIB, .help = "video memory, a power of two; svga: 64M if missing",
     .step = 1},
    {"screens", SCHEMA_NUMBER, "1", 1, 8, .help = "svga: how many screens the guest's desktop may have"},
    {"resolution", SCHEMA_NUMBERS, "1280x800", .separator = 'x', .words = WORDS("320-4095", "200-4095"),
     .help = "what the screen tells the guest it likes best, WIDTHxHEIGHT"},
    {"rom", SCHEMA_PATH, NULL, .help = "video BIOS; SeaBIOS's own if missing"},
    {"mmio", SCHEMA_FLAG, NULL,
     .help = "registers and EDID in memory (BAR 2); on, unless there is a firmware that might not stand it"},
    {NULL},
};
static const struct schema_key debug_port_keys[] = {
    {"target", SCHEMA_CHAR, "file:logs/debug.log", .help = "where bytes written to the port go, as for serial"},
    {NULL},
};
/* What all virtio devices have, beside their slot. */
#define VIRTIO_KEYS                                                                                                    \
    {"virtio", SCHEMA_CHOICE, "transitional", .words = WORDS("transitional", "modern", "legacy"),                      \
     .help = "virtio: which drivers it is for: of any age, of virtio 1.0 and later, or older ones"},                   \
    {                                                                                                                  \
        "packed", SCHEMA_FLAG, "off", .help = "virtio: offers queues in one ring (virtio 1.1)"                         \
    }
#define SLOT_KEY(where)                                                                                                \
    {                                                                                                                  \
        "slot", SCHEMA_NUMBER, NULL, PCI_SLOT_FIRST, PCI_SLOT_LAST, .help = "its place on the PCI bus; " where         \
    }
static const struct schema_key nic_keys[] = {
    {"model", SCHEMA_CHOICE, "e1000", .words = nic_models,
     .help = "which card: Intel's e1000 (82540EM) or e1000e (82574L); for old systems AMD's pcnet (PCnet-FAST III) and "
             "Realtek's rtl8139 (C+) and rtl8139c; virtio-net: made for virtual machines"},
    {"slot", SCHEMA_NUMBER, NULL, PCI_SLOT_FIRST, PCI_SLOT_LAST,
     .help = "its place on the PCI bus; if missing, 3 for the first card, 4 for the second ..."},
    {"mac", SCHEMA_MAC, NULL, .help = "its address; if missing, made from the machine's path and the card's number"},
    {"rom", SCHEMA_PATH, "auto", .words = WORDS("auto", "off"),
     .help = "by what the BIOS boots from the network: auto (iPXE, if it is installed), off, or a ROM image's path"},
    {"mode", SCHEMA_CHOICE, "nat",
     .words = WORDS("none", "nat", "natnetwork", "internal", "hostonly", "bridged", "udp"),
     .help =
         "what the cable goes to: nothing, a router of its own, a named network, the host, a network of the host, or "
         "a card on another host"},
    {"connected", SCHEMA_FLAG, "on", .help = "the cable is plugged in"},
    {"forward", SCHEMA_FORWARDS, NULL, .help = "nat: ports of the host that lead into the guest"},
    {"net", SCHEMA_IPV4_NET, "10.0.2.0/24", .help = "nat: the guest's network; .2 is its router, .15 the guest"},
    {"ipv6", SCHEMA_FLAG, "on", .help = "nat: IPv6 too, in fd00::/64"},
    {"nat-backend", SCHEMA_CHOICE, "libslirp", .words = WORDS("libslirp", "passt"),
     .help = "nat: what does it: a library in the network process, or the program passt, where it is installed"},
    {"host-reachable", SCHEMA_FLAG, "on", .help = "nat: the guest may reach the host itself, at its router's address"},
    {"tftp", SCHEMA_PATH, NULL, .help = "nat: a folder whose files the guest gets by TFTP from its router"},
    {"bootfile", SCHEMA_TEXT, NULL, .help = "nat: the file in it that a network boot loads"},
    {"network", SCHEMA_TEXT, "default", .help = "natnetwork, internal, hostonly: the name of the network"},
    {"interface", SCHEMA_TEXT, NULL, .help = "bridged: a bridge of the host, or an interface with a cable"},
    {"local-port", SCHEMA_NUMBER, NULL, 1, 65535, .help = "udp: the port on this host"},
    {"peer", SCHEMA_TEXT, NULL, .help = "udp: the other end, ADDRESS:PORT or [IPV6]:PORT"},
    {"promiscuous", SCHEMA_FLAG, "off", .help = "frames for other stations reach the card, too"},
    {"spoof", SCHEMA_FLAG, "on", .help = "the guest may send from other addresses than the card's"},
    {"limit", SCHEMA_NUMBER, NULL, 8, 100000000, .help = "kbit/s each way; if missing, none"},
    {"group", SCHEMA_TEXT, NULL, .help = "cards of the machine with the same word here have group-limit together"},
    {"group-limit", SCHEMA_NUMBER, NULL, 8, 100000000, .help = "kbit/s each way of all cards in the group"},
    {"delay", SCHEMA_NUMBER, NULL, 0, 10000, .help = "ms that each frame takes, each way"},
    {"jitter", SCHEMA_NUMBER, NULL, 0, 10000, .help = "up to so many ms more or less"},
    {"loss", SCHEMA_NUMBER, NULL, 0, 1000, .help = "how many of 1000 frames are lost, each way"},
    {"seed", SCHEMA_NUMBER, NULL, 0, INT64_MAX, .help = "of loss and jitter: the same one loses the same frames"},
    VIRTIO_KEYS,
    {"queues", SCHEMA_NUMBER, "1", 1, 8, .help = "virtio-net: pairs of queues, for guests with several CPUs"},
    {"mtu", SCHEMA_NUMBER, NULL, 68, 65521, .help = "virtio-net: the longest packet, if the guest is to be told"},
    {NULL},
};
static const struct schema_key testpci_keys[] = {
    {"model", SCHEMA_CHOICE, "edu", .words = testpci_models, .help = "which chip"},
    {"slot", SCHEMA_NUMBER, NULL, PCI_SLOT_FIRST, PCI_SLOT_LAST,
     .help = "its place on the PCI bus; if missing, 28 for the first, 29 for the second ..."},
    {NULL},
};
static const struct schema_key virtio_disk_keys[] = {
    DRIVE_KEYS("the image; a CD drive may be empty", "what kind of drive it is"),
    SLOT_KEY("if missing, 14 for the first, 15 for the second ..."),
    VIRTIO_KEYS,
    {NULL},
};
static const struct schema_key scsi_keys[] = {SLOT_KEY("18 if missing"), VIRTIO_KEYS, {NULL}};
static const struct schema_key console_keys[] = {
    {"target", SCHEMA_CHAR, "none", .help = "the far end, as for serial"},
    SLOT_KEY("21 if missing"),
    VIRTIO_KEYS,
    {NULL},
};
static const struct schema_key balloon_keys[] = {
    {"report", SCHEMA_FLAG, "on", .help = "the guest tells of memory that is free, and the host has it meanwhile"},
    SLOT_KEY("19 if missing"),
    VIRTIO_KEYS,
    {NULL},
};
static const struct schema_key rng_keys[] = {SLOT_KEY("20 if missing"), VIRTIO_KEYS, {NULL}};
static const struct schema_key usb_keys[] = {
    {"model", SCHEMA_CHOICE, "xhci", .words = usb_models, .help = "which controller"},
    SLOT_KEY("22 if missing"),
    {NULL},
};
static const struct schema_key usb_device_keys[] = {
    {"device", SCHEMA_CHOICE, "storage", .words = WORDS("none", "tablet", "keyboard", "mouse", "storage", "hub"),
     .help = "what is plugged in: tablet is a pointer that goes where the window's is; storage: a stick"},
    {"hub", SCHEMA_CHOICE, NULL, .words = WORDS("usb1", "usb2", "usb3", "usb4", "usb5", "usb6", "usb7", "usb8"),
     .help = "the hub that it is plugged into; if missing, the controller itself"},
    DRIVE_KEYS("storage: the image; if missing, no stick is there until one is put in",
               "storage: a stick or a CD drive"),
    {NULL},
};
static const struct schema_key vnc_keys[] = {
    {"enabled", SCHEMA_FLAG, "on", .help = "a start starts the VNC server too"},
    {"listen", SCHEMA_VNC, "auto",
     .help = "where, on this host: auto (the first port from 5900 on that is free), a display like :1, or unix"},
    {"view-only", SCHEMA_FLAG, "off", .help = "clients may look, but not use keys and pointer"},
    {"sharing", SCHEMA_CHOICE, "shared", .words = WORDS("shared", "exclusive"),
     .help = "several clients at once, or one, which a new one replaces"},
    {"clients", SCHEMA_NUMBER, "8", 1, 32, .help = "how many there may be at once"},
    {"keyboard", SCHEMA_TEXT, "us",
     .help = "the guest's keyboard layout as X names it, like de or fr(oss), for clients that do not say which place a "
             "key has"},
    {NULL},
};
static const struct schema_key window_keys[] = {
    {"close", SCHEMA_CHOICE, "ask", .words = WORDS("ask", "keep", "save", "shut-down", "power-off"), .at_once = true,
     .help = "what closing the screen's window does with the machine: it asks, or the answer that it remembers"},
    {"toolbar", SCHEMA_FLAG, "on", .at_once = true,
     .help = "the window has its menus above the picture; off: they come when the pointer rests at the upper edge"},
    {"resize", SCHEMA_CHOICE, "guest", .words = WORDS("guest", "scale"), .at_once = true,
     .help = "the window has another size: the guest's screen takes it, if something in the guest sets it; or the "
             "picture is scaled"},
    {"host-key", SCHEMA_TEXT, "Right Ctrl", .at_once = true,
     .help = "the key that is never the guest's, like F12 or Menu, in windows that open from now on"},
    {NULL},
};
static const struct schema_key tpm_keys[] = {
    {"model", SCHEMA_CHOICE, "crb", .words = WORDS("crb"), .help = "its interface: command response buffer"},
    {NULL},
};
static const struct schema_key audio_keys[] = {
    {"model", SCHEMA_CHOICE, "hda", .words = WORDS("hda", "ac97", "sb16", "none"),
     .help =
         "the sound card: Intel High Definition Audio; for older systems ac97 (82801AA) or sb16 (Sound Blaster 16)"},
    {"out", SCHEMA_PATH, "auto", .words = WORDS("auto", "none"),
     .help = "where sound goes: auto (the host's loudspeakers), none, or a WAV file's path"},
    {"in", SCHEMA_PATH, "none", .words = WORDS("auto", "none"),
     .help = "what the guest records: auto (the host's microphone), none, or a WAV file's path"},
    {NULL},
};
static const struct schema_key snapshots_keys[] = {
    {"every", SCHEMA_NUMBER, "0", 0, 525600,
     .help = "while it runs, an automatic snapshot every so many minutes; 0: none", .at_once = true},
    {"keep-hourly", SCHEMA_NUMBER, "24", 0, 1000,
     .help = "of the newest so many hours with automatic snapshots the newest of each stays", .at_once = true},
    {"keep-daily", SCHEMA_NUMBER, "7", 0, 1000, .help = "and of so many days", .at_once = true},
    {"before-stop", SCHEMA_FLAG, "off", .help = "vmctl stop takes one before it presses the power button",
     .at_once = true},
    {NULL},
};
static const struct schema_key no_keys[] = {{NULL}};
static const struct schema_key additions_keys[] = {
    {"identity", SCHEMA_CHOICE, "auto", .words = WORDS("auto", "vmware", "kvm", "hyperv"),
     .help =
         "as whose virtual machine CPUID shows it: VMware's, which open-vm-tools demands, KVM's, or Hyper-V's with its "
         "interface, which Windows uses; auto: VMware's"},
    {"clipboard", SCHEMA_CHOICE, "off", .words = WORDS("off", "to-guest", "to-host", "both"),
     .help = "text that guest and host share by their clipboards, through the screen's window"},
    {NULL},
};
static const struct schema_key folder_keys[] = {
    {"path", SCHEMA_PATH, NULL, .help = "the folder of the host", .at_once = true},
    {"name", SCHEMA_TEXT, NULL, .help = "what it is called in the guest; without it the last part of the path",
     .at_once = true},
    {"readonly", SCHEMA_FLAG, "off", .help = "the guest can change nothing in it", .at_once = true},
    {"symlinks", SCHEMA_CHOICE, "show", .words = WORDS("hide", "show", "create"),
     .help = "symbolic links: none for the guest; it sees them, and follows them in its own names; or it may make some "
             "too, which programs of the host then follow wherever they lead",
     .at_once = true},
    {NULL},
};

static const struct schema_section sections[] = {
    {"machine", 0, 0, "the machine as a whole", machine_keys},
    {"snapshots", 0, 0, "snapshots that are taken without being asked for", snapshots_keys},
    {"serial", 1, 4, "a 16550A serial port, COM1 to COM4; present if listed", serial_keys},
    {"parallel", 1, 1, "a parallel port, LPT1; present if listed", parallel_keys},
    {"ide", 0, 4, "an IDE drive: ide0 and ide1 on the first channel, ide2 and ide3 on the second", drive_keys,
     .drive = true},
    {"sata", 0, 6, "a drive on the AHCI controller, which is there if any is; a disk without a file is an empty bay",
     drive_keys, .drive = true},
    {"nvme", 0, 2, "an NVMe controller with one disk", drive_keys, .drive = true},
    {"scsi", 0, 0, "the virtio-scsi host adapter, which is there if any drive is on it: what it is set to", scsi_keys},
    {"scsi", 0, 7, "a drive on the virtio-scsi host adapter; a disk without a file is an empty bay", drive_keys,
     .drive = true},
    {"virtio-disk", 0, 4, "a disk that is a virtio function of its own", virtio_disk_keys, .drive = true},
    {"floppy", 0, 2, "a floppy drive, A: and B:", floppy_keys, .drive = true},
    {"video", 0, 0, "the graphics card; present unless type = none", video_keys},
    {"nic", 1, 8, "a network card; present if listed", nic_keys},
    {"audio", 0, 0, "a sound card; present if listed", audio_keys},
    {"window", 0, 0, "what the screen's window remembers of this machine", window_keys},
    {"vnc", 0, 0, "a VNC server for its screen; there if listed", vnc_keys},
    {"debug-port", 0, 0, "firmware's debug port 0x402; present if listed", debug_port_keys},
    {"debug-exit", 0, 0, "a port (0xf4) by which a test guest ends the VM with a code; present if listed", no_keys},
    {"testdev", 0, 0, "what kvm-unit-tests needs of the machine; present if listed", no_keys},
    {"additions", 0, 0, "VMware's backdoor, for open-vm-tools and the absolute mouse; present if listed",
     additions_keys},
    {"folder", 1, 9, "a folder of the host for the guest's open-vm-tools, which needs [additions]; present if listed",
     folder_keys},
    {"balloon", 0, 0, "by which the guest gives memory back to the host (virtio); present if listed", balloon_keys},
    {"console", 1, 1, "a virtio console (/dev/hvc0 in Linux); present if listed", console_keys},
    {"rng", 0, 0, "random numbers from the host for the guest (virtio); present if listed", rng_keys},
    {"tpm", 0, 0, "a TPM 2.0 (the program swtpm); present if listed", tpm_keys},
    {"usb", 0, 0, "the USB controller, which is there if this or any of its devices is: what it is", usb_keys},
    {"usb", 1, 8, "what is plugged into a USB port", usb_device_keys, .drive = true},
    {"testpci", 1, 4, "a PCI function to test PCI with; present if listed", testpci_keys},
    {NULL},
};

const struct schema_section *schema_sections(void)
{
    return sections;
}

static bool names_section(const struct schema_section *s, const char *name)
{
    if (!s->count)
        return !strcmp(s->name, name);
    size_t n = strlen(s->name);
    if (strncmp(name, s->name, n) || !g_ascii_isdigit(name[n]) || name[n + 1])
        return false;
    unsigned number = name[n] - '0';
    return number >= s->first && number < s->first + s->count;
}

const struct schema_section *schema_find_section(const char *section)
{
    for (const struct schema_section *s = sections; s->name; s++)
        if (names_section(s, section))
            return s;
    return NULL;
}

bool schema_is_disk(GKeyFile *file, const char *section)
{
    const struct schema_section *s = schema_find_section(section);
    g_autofree char *media = g_key_file_get_string(file, section, "media", NULL);
    g_autofree char *image = g_key_file_get_string(file, section, "file", NULL);
    return s && s->drive && strcmp(s->name, "floppy") && g_strcmp0(media, "cdrom") &&
           (strcmp(s->name, "usb") || (image && *image));
}

static void unknown_section(const char *section, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (const struct schema_section *s = sections; s->name; s++)
        for (unsigned i = 0; i < MAX(s->count, 1); i++)
            g_ptr_array_add(names, s->count ? g_strdup_printf("%s%u", s->name, s->first + i) : g_strdup(s->name));
    g_ptr_array_add(names, NULL);
    const char *near = suggest(section, (const char *const *)names->pdata);
    g_set_error(error, CONFIG_ERROR, CONFIG_UNKNOWN, "there is no section [%s]%s%s%s", section,
                near ? "; did you mean [" : "", near ? near : "", near ? "]?" : "");
}

static void unknown_key(const struct schema_section *s, const char *section, const char *key, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const struct schema_key *k = s->keys; k->name; k++)
        g_ptr_array_add(names, (gpointer)k->name);
    g_ptr_array_add(names, NULL);
    const char *near = suggest(key, (const char *const *)names->pdata);
    g_autofree char *all = g_strjoinv(", ", (char **)names->pdata);
    if (near)
        g_set_error(error, CONFIG_ERROR, CONFIG_UNKNOWN, "[%s] has no key %s; did you mean %s?", section, key, near);
    else
        g_set_error(error, CONFIG_ERROR, CONFIG_UNKNOWN, "[%s] has no key %s; it has %s", section, key,
                    *all ? all : "no keys at all");
}

const struct schema_key *schema_find(const char *section, const char *key, GError **error)
{
    const struct schema_section *s = schema_find_section(section);
    if (!s) {
        unknown_section(section, error);
        return NULL;
    }
    for (const struct schema_key *k = s->keys; k->name; k++)
        if (!strcmp(k->name, key))
            return k;
    unknown_key(s, section, key, error);
    return NULL;
}

char *schema_describe_type(const struct schema_key *k)
{
    g_autofree char *words = k->words ? g_strjoinv(", ", (char **)k->words) : NULL;
    g_autofree char *low = size_format(k->low), *high = size_format(k->high), *step = size_format(k->step);
    const char separator[] = {k->separator, 0};
    g_autofree char *numbers = k->separator ? g_strjoinv(separator, (char **)k->words) : NULL;
    switch (k->type) {
    case SCHEMA_SIZE:
        return g_strdup_printf("a %s from %s to %s%s%s", k->step == 1 ? "power of two" : "size", low, high,
                               k->step > 1 ? ", a multiple of " : "", k->step > 1 ? step : "");
    case SCHEMA_NUMBERS: return g_strdup_printf("numbers like %s", numbers);
    case SCHEMA_NUMBER:
        return g_strdup_printf("a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, k->low, k->high);
    case SCHEMA_FLAG: return g_strdup("on or off");
    case SCHEMA_CHOICE: return g_strdup_printf("one of %s", words);
    case SCHEMA_LIST: return g_strdup_printf("some of %s, by commas", words);
    case SCHEMA_PATH: return words ? g_strdup_printf("%s or a path", words) : g_strdup("a path");
    case SCHEMA_CHAR: return g_strdup("none, stdio, pty, file:PATH or socket:PATH");
    case SCHEMA_FORWARDS:
        return g_strdup(
            "port forwards like tcp 127.0.0.1:2222 22 (PROTOCOL [ADDRESS:]PORT [ADDRESS:]GUEST-PORT), several by "
            "semicolons, no host port twice");
    case SCHEMA_IPV4_NET:
        return g_strdup_printf("an IPv4 network like 10.0.2.0/24, with a prefix of %d to %d bits", NET_RANGE_SHORTEST,
                               NET_RANGE_LONGEST);
    case SCHEMA_UUID: return g_strdup("a UUID like 2b7f3e52-7b1c-4a0e-9d5f-0c8a6f1e2d34");
    case SCHEMA_MAC: return g_strdup("a card's address like 52:54:00:12:34:56 (the first byte even, not all zeroes)");
    case SCHEMA_VNC:
        return g_strdup("auto, a display like :1, 127.0.0.1:1 or [::1]:1, a port like 127.0.0.1::7000, or unix");
    case SCHEMA_TEXT: break;
    }
    return g_strdup("text");
}

bool schema_is_path(const struct schema_key *k, const char *value)
{
    return k->type == SCHEMA_PATH && value && *value && !(k->words && g_strv_contains(k->words, value));
}

/* ---- values ---- */

static bool list_valid(const char *value, const char *const *words)
{
    g_auto(GStrv) items = g_strsplit(value, ",", -1);
    for (char **i = items; *i; i++) {
        if (!g_strv_contains(words, g_strstrip(*i)))
            return false;
        for (char **earlier = items; earlier < i; earlier++)
            if (!strcmp(*earlier, *i))
                return false;
    }
    return true;
}

static bool size_valid(const struct schema_key *k, const char *value)
{
    uint64_t bytes;
    return size_parse(value, &bytes) && bytes >= (uint64_t)k->low && bytes <= (uint64_t)k->high &&
           (k->step == 1 ? !(bytes & (bytes - 1)) : !k->step || !(bytes % k->step));
}

static bool numbers_valid(const struct schema_key *k, const char *value)
{
    const char separator[] = {k->separator, 0};
    g_auto(GStrv) items = g_strsplit(value, separator, -1);
    bool good = g_strv_length(items) == g_strv_length((char **)k->words);
    for (unsigned i = 0; good && items[i]; i++) {
        guint64 low = g_ascii_strtoull(k->words[i], NULL, 10),
                high = g_ascii_strtoull(strchr(k->words[i], '-') + 1, NULL, 10);
        good = g_ascii_string_to_unsigned(items[i], 10, low, high, NULL, NULL);
    }
    return good;
}

static bool number_valid(const struct schema_key *k, const char *value)
{
    return g_ascii_string_to_signed(value, 10, k->low, k->high, NULL, NULL);
}

static bool forwards_valid(const char *value)
{
    g_autoptr(GArray) list = forward_parse_list(value, NULL);
    return list != NULL;
}

static bool value_valid(const struct schema_key *k, const char *value)
{
    switch (k->type) {
    case SCHEMA_SIZE: return size_valid(k, value);
    case SCHEMA_NUMBER: return number_valid(k, value);
    case SCHEMA_NUMBERS: return numbers_valid(k, value);
    case SCHEMA_FLAG: return !strcmp(value, "on") || !strcmp(value, "off");
    case SCHEMA_CHOICE: return g_strv_contains(k->words, value);
    case SCHEMA_LIST: return list_valid(value, k->words);
    case SCHEMA_CHAR: return char_target_valid(value);
    case SCHEMA_PATH: return *value;
    case SCHEMA_FORWARDS: return forwards_valid(value);
    case SCHEMA_IPV4_NET: return net_range_parse(value, &(struct net_range){0});
    case SCHEMA_UUID: return g_uuid_string_is_valid(value);
    case SCHEMA_VNC: return vnc_listen_parse(value, &(struct vnc_listen){0}, NULL);
    case SCHEMA_MAC: return mac_parse(value, (uint8_t[6]){0});
    case SCHEMA_TEXT: break;
    }
    return true;
}

bool schema_check_value(const char *path, const char *section, const char *key, const char *value, GError **error)
{
    GError *unknown = NULL;
    const struct schema_key *k = schema_find(section, key, &unknown);
    if (!k) {
        g_propagate_prefixed_error(error, unknown, "%s: ", path);
        return false;
    }
    if (value_valid(k, value))
        return true;
    GError *why = NULL;
    if (k->type == SCHEMA_VNC &&
        !vnc_listen_parse(value, &(struct vnc_listen){0}, &why)) { /* it says what to do instead */
        config_error(error, path, section, key, value, "%s", why->message);
        g_error_free(why);
        return false;
    }
    g_autofree char *right = schema_describe_type(k);
    config_error(error, path, section, key, value, "must be %s", right);
    return false;
}

static bool check_section(GKeyFile *file, const char *path, const char *section, GError **error)
{
    GError *unknown = NULL;
    if (!schema_find_section(section)) {
        unknown_section(section, &unknown);
        g_propagate_prefixed_error(error, unknown, "%s: ", path);
        return false;
    }
    g_auto(GStrv) keys = g_key_file_get_keys(file, section, NULL, NULL);
    for (char **k = keys; k && *k; k++) {
        GError *encoding = NULL;
        g_autofree char *value = g_key_file_get_string(file, section, *k, &encoding);
        if (!value) {
            g_propagate_prefixed_error(error, encoding, "%s: [%s] %s: ", path, section, *k);
            return false;
        }
        if (!schema_check_value(path, section, *k, value, error))
            return false;
    }
    return true;
}

bool schema_check_file(GKeyFile *file, const char *path, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (char **g = groups; *g; g++)
        if (!check_section(file, path, *g, error))
            return false;
    return true;
}

GKeyFile *schema_load(const char *path, GError **error)
{
    struct stat st;
    if (stat(path, &st)) {
        int e = errno;
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(e), "%s: %s", path, g_strerror(e));
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX) {
        g_set_error(error, CONFIG_ERROR, CONFIG_SYNTAX, "%s: this is no machine.ini (a text file of at most 1 MiB)",
                    path);
        return NULL;
    }
    g_autofree char *text = NULL;
    gsize n;
    if (!g_file_get_contents(path, &text, &n, error))
        return NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    size_t mark = g_str_has_prefix(text, BOM) ? strlen(BOM) : 0; /* some editors put it there */
    GError *syntax = NULL;
    if (!g_key_file_load_from_data(file, text + mark, n - mark, G_KEY_FILE_KEEP_COMMENTS, &syntax)) {
        g_propagate_prefixed_error(error, syntax, "%s: ", path);
        return NULL;
    }
    return schema_check_file(file, path, error) ? g_steal_pointer(&file) : NULL;
}
