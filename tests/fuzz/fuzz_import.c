// SPDX-License-Identifier: GPL-2.0-or-later
/* Descriptions of machines that other programs have written, with anything in them: refused in one sentence, or a plan, which
 * survives its way as JSON and whose settings are taken or refused by the schema.  The first byte says which kind; with its top bit,
 * what follows changes a small description that is right.  FUZZ_IMPORT=NAME in the environment: always that kind. */
#include "core-vmm/foreign/ova.h"
#include "core-vmm/foreign/readers.h"
#include "core-vmm/host/machines.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KIND_OVA = FOREIGN_KINDS, KIND_MANIFEST, KINDS };

static const char *const names[KINDS] = {
    [FOREIGN_OVF] = "ovf", [FOREIGN_VMX] = "vmx",           [FOREIGN_VBOX] = "vbox", [FOREIGN_LIBVIRT] = "libvirt",
    [FOREIGN_UTM] = "utm", [FOREIGN_QUICKEMU] = "quickemu", [KIND_OVA] = "ova",      [KIND_MANIFEST] = "manifest"};

static const char *const right[FOREIGN_KINDS] = {
    [FOREIGN_OVF] =
        "<Envelope><References><File id='f' href='d.vmdk'/></References><DiskSection><Disk diskId='d' fileRef='f' "
        "capacity='8' "
        "capacityAllocationUnits='byte * 2^20'/></DiskSection><VirtualSystem "
        "id='b'><OperatingSystemSection><Description>Debian_64"
        "</Description></OperatingSystemSection><VirtualHardwareSection><System><VirtualSystemType>vmx-10</"
        "VirtualSystemType></System>"
        "<Item><ResourceType>4</ResourceType><VirtualQuantity>512</VirtualQuantity><AllocationUnits>MegaBytes</"
        "AllocationUnits></Item>"
        "<Item><InstanceID>3</InstanceID><Address>0</Address><ResourceType>5</ResourceType></Item><Item><Parent>3</"
        "Parent>"
        "<AddressOnParent>1</AddressOnParent><HostResource>/disk/d</HostResource><ResourceType>17</ResourceType></"
        "Item><Item>"
        "<Connection>NAT</Connection><ResourceSubType>E1000</ResourceSubType><ResourceType>10</ResourceType></Item>"
        "</VirtualHardwareSection><Settings xmlns='" OVF_OURS
        "'><Setting key='machine.cpus' value='2'/><Image section='ide0' "
        "diskId='d'/></Settings>"
        "</VirtualSystem></Envelope>",
    [FOREIGN_VMX] =
        "config.version = \"8\"\ndisplayName = \"a|22b\"\nguestOS = \"winxppro\"\nmemsize = \"512\"\nnumvcpus = \"2\"\n"
        "scsi0.virtualDev = \"lsilogic\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\n"
        "ethernet0.present = \"TRUE\"\nethernet0.virtualDev = \"vmxnet3\"\nethernet0.address = \"00:0c:29:11:22:33\"\n",
    [FOREIGN_VBOX] =
        "<VirtualBox><Machine uuid='{11112222-3333-4444-5555-666677778888}' name='n' "
        "OSType='Windows10_64'><MediaRegistry><HardDisks>"
        "<HardDisk uuid='{1}' location='a.vdi' format='VDI'/></HardDisks></MediaRegistry><Hardware><CPU "
        "count='2'/><Memory RAMSize='64'/>"
        "<Network><Adapter enabled='true' MACAddress='080027112233' type='82540EM'><NAT><Forwarding proto='1' "
        "hostport='2222' "
        "guestport='22'/></NAT></Adapter></Network><StorageControllers><StorageController type='AHCI'><AttachedDevice "
        "type='HardDisk' "
        "port='1' device='0'><Image "
        "uuid='{1}'/></AttachedDevice></StorageController></StorageControllers></Hardware></Machine></VirtualBox>",
    [FOREIGN_LIBVIRT] =
        "<domain><name>n</name><title>Fedora</title><memory unit='MiB'>512</memory><vcpu>2</vcpu><os "
        "firmware='efi'><type arch='x86_64'/>"
        "</os><clock offset='localtime'/><devices><disk device='disk'><driver type='qcow2'/><source "
        "file='/a.qcow2'/><target dev='vda' "
        "bus='virtio'/></disk><disk device='cdrom'><target dev='hdc' bus='ide'/></disk><interface type='bridge'><mac "
        "address='52:54:00:11:22:33'/><source bridge='br0'/><model type='virtio'/></interface></devices></domain>",
    [FOREIGN_UTM] = "<plist><dict><key>ConfigurationVersion</key><integer>4</integer><key>System</"
                    "key><dict><key>Architecture</key><string>x86_64"
                    "</string><key>CPUCount</key><integer>2</integer><key>MemorySize</key><integer>512</integer></"
                    "dict><key>Drive</key><array><dict>"
                    "<key>ImageName</key><string>a.qcow2</string><key>ImageType</key><string>Disk</"
                    "string><key>Interface</key><string>VirtIO</string>"
                    "</dict></array><key>Network</key><array><dict><key>Mode</key><string>Emulated</"
                    "string><key>PortForward</key><array><dict>"
                    "<key>HostPort</key><integer>1</integer><key>GuestPort</key><integer>2</integer></dict></array></"
                    "dict></array></dict></plist>",
    [FOREIGN_QUICKEMU] = "guest_os=\"linux\"\ndisk_img=\"a/disk.qcow2\"\niso='x.iso'\nram=\"4G\"\ncpu_cores=2 # two\n"
                         "port_forwards=(\"80:80\" '22:22')\nnetwork=br0\nextra=`x`\n",
};

static void apply(const struct plan *p)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    for (guint i = 0; i < p->settings->len; i++) {
        g_autoptr(GError) error = NULL;
        if (!settings_assign(file, "x", p->settings->pdata[i], &error) && !error)
            g_error("%s is refused without a reason", (char *)p->settings->pdata[i]);
    }
}

static void read_as(enum foreign_kind kind, const char *text, gsize n)
{
    g_autoptr(GError) error = NULL;
    struct found f;
    found_init(&f);
    bool good = foreign_read(kind, text, n, &f, &error);
    if (good == (error != NULL) || (error && !*error->message))
        g_error("kind %d: %s", kind, error ? error->message : "refused without a reason");
    if (good) {
        struct plan *p = found_plan(&f);
        g_autofree char *json = plan_print(p);
        struct plan *again = plan_parse(json, &error);
        if (!again)
            g_error("a plan is refused: %s", json);
        if (p->settings->len != again->settings->len || p->disks->len != again->disks->len)
            g_error("a plan became another: %s", json);
        apply(again);
        plan_free(p);
        plan_free(again);
    }
    found_clear(&f);
}

/* Pairs of place and byte. */
static void read_changed(enum foreign_kind kind, const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strdup(right[kind]);
    size_t n = strlen(text);
    for (size_t i = 0; i + 2 < size; i += 3)
        text[(data[i] << 8 | data[i + 1]) % n] = (char)data[i + 2];
    read_as(kind, text, n);
}

static void read_archive(const uint8_t *data, size_t size)
{
    int fd = memfd_create("ova", 0);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GError) error = NULL;
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        g_error("no file to try");
    struct ova *o = ova_open(path, &error);
    if (!o != (error != NULL))
        g_error("%s", error ? error->message : "refused without a reason");
    for (guint i = 0; o && i < o->members->len; i++) { /* all of it must be there to be read */
        const struct ova_member *m = &g_array_index(o->members, struct ova_member, i);
        g_autofree char *sum =
            g_compute_checksum_for_data(G_CHECKSUM_SHA1, m->bytes ? m->data : (const uint8_t *)"", m->bytes);
    }
    if (o)
        ova_close(o);
    close(fd);
}

static void read_manifest(const char *text, gsize n)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) lines = manifest_read(text, n, &error);
    if (!lines != (error != NULL))
        g_error("%s", error ? error->message : "refused without a reason");
    for (guint i = 0; lines && i < lines->len; i++)
        manifest_check(&g_array_index(lines, struct manifest_line, i), (const uint8_t *)text, n, NULL, NULL, NULL);
}

static unsigned kind_of(uint8_t first)
{
    const char *only = g_getenv("FUZZ_IMPORT");
    unsigned kind = (first & 0x7f) % KINDS;
    for (unsigned i = 0; only && i < KINDS; i++)
        if (!strcmp(names[i], only))
            return i;
    if (only)
        g_error("there is no kind %s", only);
    return kind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    unsigned kind = kind_of(data[0]);
    g_autofree char *text = g_malloc0(size); /* of its own, so that a step behind it is seen */
    memcpy(text, data + 1, size - 1);
    if (kind == KIND_OVA)
        read_archive(data + 1, size - 1);
    else if (kind == KIND_MANIFEST)
        read_manifest(text, size - 1);
    else if (data[0] & 0x80)
        read_changed(kind, data + 1, size - 1);
    else
        read_as(kind, text, size - 1);
    return 0;
}
