#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmctl import and export: descriptions as other programs write them, written here from the standards and the programs' manuals; what of them
came along, disks by qemu-img; and packages that want something else.  Prints TAP.  Usage: test_import.py VMCTL"""
import configparser
import hashlib
import io
import json
import os
import plistlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback

VMCTL = os.path.abspath(sys.argv[1])
UUID = "11112222-3333-4444-5555-666677778888"
STREAM = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
CIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_"


class Host:
    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-import-")
        os.mkdir(self.base + "/run", 0o700)
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", LC_ALL="C.UTF-8")
        self.machines = self.base + "/data/terrarium/machines/"
        self.n = 0

    def run(self, *args):
        p = subprocess.run([VMCTL, *args], env=self.env, capture_output=True, text=True, timeout=120, check=False)
        return p.returncode, p.stdout, p.stderr

    def want(self, code, *args, err=""):
        got, out, said = self.run(*args)
        assert got == code, f"vmctl {' '.join(args)}: {got}, not {code}: {out}{said}"
        assert err in said, f"vmctl {' '.join(args)}: stderr has no {err!r}: {said!r}"
        return out

    def tool(self, *args):
        p = subprocess.run(args, capture_output=True, text=True, timeout=120, check=False)
        assert p.returncode == 0, f"{' '.join(args)}: {p.stdout}{p.stderr}"

    def folder(self):
        self.n += 1
        path = f"{self.base}/work{self.n}"
        os.mkdir(path)
        return path

    def image(self, folder, name, form, *options):
        """Something that is not all zeroes; the raw one beside it, for comparing."""
        raw, path = self.base + "/raw", os.path.join(folder, name)
        self.tool("qemu-img", "create", "-q", "-f", "raw", raw, "8M")
        self.tool("qemu-io", "-f", "raw", "-c", "write -P 65 1M 1M", "-c", "write -P 66 7M 64k", raw)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.tool("qemu-img", "convert", "-f", "raw", "-O", form, *options, raw, path)
        return path

    def settings(self, name):
        """As machine.ini has them, without what is usual."""
        ini = configparser.ConfigParser(interpolation=None, comment_prefixes="#")
        ini.optionxform = str
        ini.read(self.machines + name + "/machine.ini")
        return {section: dict(ini[section]) for section in ini.sections()}

    def take(self, file, name, *args):
        """Imports; its report and settings."""
        report = json.loads(self.want(0, "import", file, "--name", name, "-o", "json", "-q", *args))
        assert not self.leftovers()
        return report, self.settings(name)

    def same_disk(self, name, section):
        s = self.settings(name)[section]
        self.tool("qemu-img", "compare", "-f", s["format"], "-F", "raw", os.path.join(self.machines + name, s["file"]), self.base + "/raw")

    def leftovers(self):
        return [n for n in os.listdir(self.machines) if n.startswith(".")] if os.path.isdir(self.machines) else []

    def refused(self, file, err, *args, code=1):
        before = os.listdir(self.machines) if os.path.isdir(self.machines) else []
        self.want(code, "import", file, "--name", "refused", "-q", *args, err=err)
        assert before == (os.listdir(self.machines) if os.path.isdir(self.machines) else []), "something was made"


def write(path, text):
    with open(path, "w" if isinstance(text, str) else "wb") as f:
        f.write(text)
    return path


def has(where, what):
    assert any(what in line for line in where), f"no {what!r} in {where}"


# ---- OVF ----

def item(kind="Item", prefix="rasd", **fields):
    return f"<{kind}>" + "".join(f"<{prefix}:{k}>{v}</{prefix}:{k}>" for k, v in sorted(fields.items())) + f"</{kind}>"


def ovf(items, system="virtualbox-2.2", os_section="<Description>Debian_64</Description>", files=(("file1", "disk.vmdk"),),
        disks='<Disk ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="d1" ovf:fileRef="file1" ovf:format="' + STREAM + '"/>',
        version=1, extra=""):
    refs = "".join(f'<File ovf:id="{i}" ovf:href="{n}"/>' for i, n in files)
    return f"""<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/{version}" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/{version}"
 xmlns:rasd="{CIM}ResourceAllocationSettingData" xmlns:vssd="{CIM}VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf"
 xmlns:sasd="{CIM}StorageAllocationSettingData.xsd" xmlns:epasd="{CIM}EthernetPortAllocationSettingData.xsd" xmlns:vbox="http://www.virtualbox.org/ovf/machine">
<References>{refs}</References><DiskSection><Info>disks</Info>{disks}</DiskSection>
<VirtualSystem ovf:id="box"><Info>a machine</Info><Name>box</Name><OperatingSystemSection ovf:id="96"><Info>system</Info>{os_section}</OperatingSystemSection>
<VirtualHardwareSection><Info>hardware</Info><System><vssd:VirtualSystemType>{system}</vssd:VirtualSystemType></System>
{"".join(items)}</VirtualHardwareSection>{extra}</VirtualSystem></Envelope>"""


BASIC = [item(InstanceID=1, ResourceType=3, VirtualQuantity=2), item(AllocationUnits="byte * 2^20", InstanceID=2, ResourceType=4, VirtualQuantity=512)]
SATA = [item(Address=0, InstanceID=3, ResourceType=20, ResourceSubType="AHCI")]
DISK = [item(AddressOnParent=0, HostResource="ovf:/disk/d1", InstanceID=9, Parent=3, ResourceType=17)]


def pack(folder, names, archive="x.ova", manifest=True, change=None):
    path = os.path.join(folder, archive)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as t:
        lines = ""
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                data = f.read()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
            lines += f"SHA256({name})= {hashlib.sha256(data).hexdigest()}\n"
        if manifest:
            data = (change(lines) if change else lines).encode()
            info = tarfile.TarInfo("x.mf")
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return path


def ova_virtualbox(h):
    d = h.folder()
    h.image(d, "disk.vmdk", "vmdk", "-o", "subformat=streamOptimized")
    items = BASIC + SATA + DISK + [
        item(Address=0, InstanceID=4, ResourceType=5, ResourceSubType="PIIX4"), item(Address=1, InstanceID=5, ResourceType=5, ResourceSubType="PIIX4"),
        item(AddressOnParent=0, InstanceID=6, Parent=5, ResourceType=15), item(InstanceID=7, ResourceType=35, ResourceSubType="ensoniq1371"),
        item(Connection="NAT", InstanceID=8, ResourceType=10, ResourceSubType="E1000", AutomaticAllocation="true"),
        item(Connection="Internal", InstanceID=10, ResourceType=10, ResourceSubType="PCNet32", AutomaticAllocation="false")]
    extra = f"""<vbox:Machine uuid="{{{UUID}}}"><Hardware><Network><Adapter slot="0" enabled="true" MACAddress="080027AABBCC"/>
<Adapter slot="1" enabled="false" MACAddress="080027000000"/><Adapter slot="2" enabled="true" MACAddress="080027AABBDD"/></Network></Hardware></vbox:Machine>"""
    write(d + "/x.ovf", ovf(items, extra=extra))
    report, s = h.take(pack(d, ["x.ovf", "disk.vmdk"]), "ova1")
    assert report["from"] == "VirtualBox (OVF)" and report["os"] == "linux", report
    has(report["mapped"], "2 checksums are right")
    has(report["left"], "a sound card")
    assert s["machine"]["memory"] == "512M" and s["machine"]["cpus"] == "2" and s["machine"]["uuid"] == UUID, s
    assert s["ide2"]["media"] == "cdrom" and s["nic1"] == {"model": "e1000", "mode": "nat", "mac": "08:00:27:aa:bb:cc"}, s
    assert s["nic2"] == {"model": "pcnet", "mode": "internal", "mac": "08:00:27:aa:bb:dd", "connected": "off"}, s
    h.same_disk("ova1", "sata0")
    h.want(7, "import", d + "/x.ova", "--name", "ova1", err="there is a machine ova1 already")
    os.rename(d + "/x.ova", os.fsencode(d) + b"/\xf0.ova")  # a name that is no text
    p = subprocess.run([VMCTL.encode(), b"import", os.fsencode(d) + b"/\xf0.ova", b"-n"], env=h.env, capture_output=True, timeout=60, check=False)
    assert p.returncode == 0, p.stderr
    os.rename(os.fsencode(d) + b"/\xf0.ova", d + "/x.ova")
    h.want(0, "import", d + "/x.ovf", "-q")  # the same, unpacked
    h.same_disk("box", "sata0")
    h.want(7, "import", d + "/x.ovf", "-q", err="--name")
    dry = json.loads(h.want(0, "import", d + "/x.ova", "--dry-run", "-o", "json"))
    assert dry["disks"] == [{"section": "sata0", "file": "disk.vmdk"}] and dry["name"] == "box", dry


def ova_vmware(h):
    d = h.folder()
    h.image(d, "disk.vmdk", "vmdk", "-o", "subformat=streamOptimized")
    write(d + "/cd.iso", bytes(range(256)) * 16)
    items = BASIC + [item(Address=0, InstanceID=3, ResourceType=6, ResourceSubType="lsilogicsas")] + DISK + [
        item(Address=1, InstanceID=4, ResourceType=5), item(AddressOnParent=1, HostResource="ovf:/file/file2", InstanceID=5, Parent=4, ResourceType=15),
        item(AddressOnParent=7, Connection="VM Network", InstanceID=6, ResourceType=10, ResourceSubType="VmxNet3"),
        item(InstanceID=12, ResourceType=24), item(AddressOnParent=0, InstanceID=13, ResourceType=14),
        '<vmw:Config vmw:key="firmware" vmw:value="efi"/>']
    text = ovf(items, "vmx-13", "<Description>Microsoft Windows 10 (64-bit)</Description>", (("file1", "disk.vmdk"), ("file2", "cd.iso")))
    write(d + "/x.ovf", text.replace('ovf:id="96"', 'ovf:id="103" vmw:osType="windows9_64Guest"'))
    report, s = h.take(pack(d, ["x.ovf", "disk.vmdk", "cd.iso"]), "ova2", "--set", "machine.memory=1G")
    assert report["from"] == "VMware (OVF)" and report["os"] == "windows", report
    has(report["mapped"], "UEFI firmware")
    for what in ("what its UEFI remembers", "was on lsilogicsas 0", 'network "VM Network"', "VmxNet3"):
        has(report["left"], what)
    assert s["machine"]["firmware"] == "uefi" and s["machine"]["os"] == "windows" and s["machine"]["memory"] == "1G" and s["machine"]["clock"] == "local" and s["machine"]["sockets"] == "1", s
    assert s["nic1"]["model"] == "e1000e" and "floppy0" in s and s["ide3"] == {"media": "cdrom", "file": "ide3.iso"}, s
    h.same_disk("ova2", "sata0")
    with open(h.machines + "ova2/ide3.iso", "rb") as f:
        assert f.read() == bytes(range(256)) * 16


def ovf_2(h):
    d = h.folder()
    h.image(d, "disk.vmdk", "vmdk", "-o", "subformat=streamOptimized")
    items = BASIC + SATA + [item("StorageItem", "sasd", AddressOnParent=3, HostResource="/disk/d1", InstanceID=9, Parent=3, ResourceType=17),
                            item("EthernetPortItem", "epasd", Connection="NAT", InstanceID=10, ResourceType=10, ResourceSubType="virtio", Address="52:54:00:01:02:03")]
    report, s = h.take(write(d + "/x.ovf", ovf(items, version=2)), "ovf2")
    has(report["left"], "there is no manifest")
    assert s["nic1"] == {"model": "virtio-net", "mode": "nat", "mac": "52:54:00:01:02:03"}, s
    h.same_disk("ovf2", "sata3")


# ---- other programs ----

def vmx(h):
    d = h.folder()
    h.image(d, "Debian.vmdk", "vmdk", "-o", "subformat=twoGbMaxExtentSparse")
    write(d + "/cd.iso", b"x" * 2048)
    text = f"""#!/usr/bin/vmware
.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "16"
displayName = "Deb|22ian"
guestOS = "debian10-64"
memsize = "2048"
numvcpus = "4"
cpuid.coresPerSocket = "2"
uuid.bios = "11 11 22 22 33 33 44 44-55 55 66 66 77 77 88 88"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "Debian.vmdk"
scsi0:0.mode = "independent-persistent"
sata0:1.present = "TRUE"
SATA0:1.deviceType = "cdrom-image"
sata0:1.fileName = "cd.iso"
ide1:0.present = "TRUE"
ide1:0.deviceType = "atapi-cdrom"
ide1:0.fileName = "auto detect"
ide0:0.present = "FALSE"
ide0:0.fileName = "never.vmdk"
floppy0.present = "FALSE"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "e1000"
ethernet0.connectionType = "nat"
ethernet0.generatedAddress = "00:0c:29:11:22:33"
ethernet1.present = "TRUE"
ethernet1.connectionType = "hostonly"
ethernet1.startConnected = "FALSE"
sound.present = "TRUE"
firmware = "efi"
"""
    report, s = h.take(write(d + "/deb.vmx", text), "vmx")
    for what in ("was on scsi0:0, pvscsi", "a sound card", "UEFI", "the host's CD drive"):
        has(report["left"], what)
    assert s["machine"]["cpus"] == "4" and s["machine"]["sockets"] == "2" and s["machine"]["memory"] == "2G" and s["machine"]["uuid"] == UUID, s
    assert s["sata1"] == {"media": "cdrom", "file": d + "/cd.iso"} and s["ide2"] == {"media": "cdrom"} and "ide0" not in s, s
    assert s["nic1"]["mac"] == "00:0c:29:11:22:33" and s["nic2"]["mode"] == "hostonly" and s["nic2"]["connected"] == "off", s
    h.same_disk("vmx", "sata0")
    report, s = h.take(d + "/deb.vmx", "vmx2", "--in-place")
    assert s["sata0"] == {"file": d + "/Debian.vmdk", "format": "vmdk", "independent": "on"}, s
    h.same_disk("vmx2", "sata0")
    report = json.loads(h.want(0, "import", d + "/deb.vmx", "-o", "json", "-q"))
    assert report["name"] == "Deb-ian" and h.settings("Deb-ian")["machine"]["name"] == 'Deb"ian', report
    h.refused(write(d + "/a.vmx", "x\n"), "line 1 is not KEY")
    h.refused(write(d + "/a.vmx", text.replace("Debian.vmdk", "gone.vmdk")), "gone.vmdk", code=3)


VBOX = """<?xml version="1.0"?>
<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">
<Machine uuid="{%s}" name="win xp" OSType="WindowsXP" snapshotFolder="Snapshots" currentSnapshot="{aaaaaaaa-0000-0000-0000-000000000001}">
<MediaRegistry><HardDisks><HardDisk uuid="{bbbbbbbb-0000-0000-0000-000000000001}" location="base.vdi" format="VDI" type="Normal">
<HardDisk uuid="{bbbbbbbb-0000-0000-0000-000000000002}" location="%s" format="VDI"/></HardDisk></HardDisks>
<DVDImages><Image uuid="{cccccccc-0000-0000-0000-000000000001}" location="C:\\images\\gone.iso"/></DVDImages></MediaRegistry>
<Snapshot uuid="{aaaaaaaa-0000-0000-0000-000000000001}" name="1"/>
<Hardware><CPU count="1"/><Memory RAMSize="192"/><BIOS/><USB><Controllers><Controller name="OHCI" type="OHCI"/></Controllers></USB>
<Network><Adapter slot="0" enabled="true" MACAddress="080027112233" type="Am79C973"><NAT><Forwarding name="ssh" proto="1" hostip="127.0.0.1" hostport="2222" guestport="22"/></NAT></Adapter>
<Adapter slot="1" enabled="true" MACAddress="080027112234" type="82540EM" cable="false"><InternalNetwork name="lan"/></Adapter>
<Adapter slot="2" enabled="true" type="82540EM"><BridgedInterface name="eth0"/></Adapter><Adapter slot="3" enabled="false"/></Network>
<RTC localOrUTC="local"/><AudioAdapter enabled="true"/><UART><Port slot="0" enabled="true"/></UART>
<StorageControllers><StorageController name="IDE" type="PIIX4" PortCount="2"><AttachedDevice type="HardDisk" port="0" device="0"><Image uuid="{bbbbbbbb-0000-0000-0000-000000000002}"/></AttachedDevice>
<AttachedDevice type="DVD" port="1" device="0"><Image uuid="{cccccccc-0000-0000-0000-000000000001}"/></AttachedDevice></StorageController>
<StorageController name="Floppy" type="I82078"><AttachedDevice type="Floppy" port="0" device="0"/></StorageController></StorageControllers></Hardware></Machine></VirtualBox>"""


def vbox(h):
    d = h.folder()
    h.image(d, "base.vdi", "vdi")
    os.mkdir(d + "/Snapshots")
    h.want(0, "disk", "clone", "--linked", d + "/base.vdi", d + "/Snapshots/child.vdi")
    report, s = h.take(write(d + "/xp.vbox", VBOX % (UUID, "Snapshots/child.vdi")), "vbox")
    assert report["from"] == "VirtualBox" and report["os"] == "windows-old", report
    for what in ("its snapshots", "a USB controller", "a sound card", "gone.iso"):
        has(report["left"], what)
    assert s["machine"]["clock"] == "local" and s["machine"]["memory"] == "192M" and "floppy0" in s and s["ide2"] == {"media": "cdrom"}, s
    assert s["nic1"] == {"model": "pcnet", "mode": "nat", "mac": "08:00:27:11:22:33", "forward": "tcp 127.0.0.1:2222 22"}, s
    assert s["nic2"]["network"] == "lan" and s["nic2"]["connected"] == "off" and s["nic3"]["interface"] == "eth0", s
    h.same_disk("vbox", "ide0")
    assert "independent" not in s["ide0"], s
    write(d + "/gone.iso", b"x" * 2048)
    other = (VBOX % (UUID, "Snapshots/child.vdi")).replace('format="VDI"/>', 'format="VDI" type="Writethrough"/>')
    report, s = h.take(write(d + "/xp.vbox", other), "vbox2")
    assert s["ide2"]["file"] == d + "/gone.iso" and s["ide0"]["independent"] == "on", s
    h.refused(write(d + "/e.vbox", '<VirtualBox xmlns="http://www.virtualbox.org/"><MachineEncrypted/></VirtualBox>'), "is encrypted")


def libvirt(h):
    d = h.folder()
    h.image(d, "disk.qcow2", "qcow2")
    text = f"""<domain type="kvm"><name>fedora</name><uuid>{UUID}</uuid>
<metadata><libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0"><libosinfo:os id="http://fedoraproject.org/fedora/40"/></libosinfo:libosinfo></metadata>
<memory unit="KiB">2097152</memory><vcpu placement="static">2</vcpu><os><type arch="x86_64" machine="pc-q35-8.0">hvm</type></os><clock offset="utc"/>
<devices><disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="{d}/disk.qcow2"/><target dev="vda" bus="virtio"/></disk>
<disk type="network" device="disk"><source protocol="rbd" name="x"/><target dev="vdb" bus="virtio"/></disk>
<disk type="file" device="cdrom"><target dev="sda" bus="sata"/><readonly/></disk>
<interface type="network"><mac address="52:54:00:aa:bb:cc"/><source network="default"/><model type="virtio"/></interface>
<interface type="bridge"><source bridge="br0"/><model type="e1000e"/></interface><tpm model="tpm-crb"/><serial type="pty"/></devices></domain>"""
    report, s = h.take(write(d + "/f.xml", text), "libvirt")
    for what in ("a TPM", "network, which is not supported", "without an image"):
        has(report["left"], what)
    assert s["nic1"] == {"model": "virtio-net", "mode": "nat", "mac": "52:54:00:aa:bb:cc"} and s["nic2"]["interface"] == "br0", s
    assert s["sata0"] == {"media": "cdrom"} and s["machine"]["memory"] == "2G" and report["os"] == "linux", s
    h.same_disk("libvirt", "virtio-disk0")
    h.refused(write(d + "/arm.xml", text.replace("x86_64", "aarch64")), "aarch64")


def utm(h):
    d = h.folder() + "/Deb.utm"
    h.image(d, "Data/disk.qcow2", "qcow2")
    text = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict><key>Backend</key><string>QEMU</string><key>ConfigurationVersion</key><integer>4</integer>
<key>Drive</key><array><dict><key>ImageName</key><string>disk.qcow2</string><key>ImageType</key><string>Disk</string><key>Interface</key><string>NVMe</string><key>ReadOnly</key><false/></dict>
<dict><key>ImageType</key><string>CD</string><key>ImageName</key><string>cd.iso</string><key>Interface</key><string>USB</string></dict></array>
<key>Information</key><dict><key>Name</key><string>Deb</string><key>Icon</key><string>debian</string><key>UUID</key><string>{UUID}</string></dict>
<key>Network</key><array><dict><key>Hardware</key><string>virtio-net-pci</string><key>MacAddress</key><string>52:54:00:11:22:33</string><key>Mode</key><string>Emulated</string>
<key>PortForward</key><array><dict><key>Protocol</key><string>TCP</string><key>HostPort</key><integer>2222</integer><key>GuestPort</key><integer>22</integer></dict></array></dict></array>
<key>QEMU</key><dict><key>UEFIBoot</key><true/><key>TPMDevice</key><true/></dict>
<key>System</key><dict><key>Architecture</key><string>x86_64</string><key>CPUCount</key><integer>3</integer><key>MemorySize</key><integer>1024</integer></dict></dict></plist>"""
    write(d + "/config.plist", text)
    write(d + "/Data/cd.iso", b"x" * 2048)
    report, s = h.take(d, "utm")
    assert {"media": "cdrom", "file": d + "/Data/cd.iso"} in s.values(), s
    has(report["left"], "a TPM")
    has(report["left"], "UEFI")
    assert s["machine"]["cpus"] == "3" and s["machine"]["memory"] == "1G" and s["machine"]["uuid"] == UUID and report["os"] == "linux", s
    assert s["nic1"] == {"model": "virtio-net", "mode": "nat", "mac": "52:54:00:11:22:33", "forward": "tcp 2222 22"}, s
    h.same_disk("utm", "nvme0")
    write(d + "/config.plist", text.replace("x86_64", "aarch64"))
    h.refused(d, "aarch64")
    whole = plistlib.loads(text.encode())
    whole["Information"].update(Name="Dében", Count=70000, Part=0.5, Blob=b"12", Notes="x" * 300)
    write(d + "/config.plist", plistlib.dumps(whole, fmt=plistlib.FMT_BINARY))
    _, other = h.take(d, "utm2")
    assert {k: v for k, v in other.items() if k != "nvme0"} == {k: v for k, v in s.items() if k != "nvme0"}, (other, s)
    many = ["x"]
    for _ in range(40):
        many = [many] * 10  # one object each; written out, more than any memory has
    for data in (b"bplist00" + bytes(40), b"bplist00", plistlib.dumps({"a": many}, fmt=plistlib.FMT_BINARY)):
        write(d + "/config.plist", data)
        h.refused(d, "binary property list")


def quickemu(h):
    d = h.folder()
    h.image(d, "u/disk.qcow2", "qcow2")
    text = f"""#!/usr/bin/quickemu --vm
guest_os="linux"
disk_img="u/disk.qcow2"
iso='u/gone.iso'
ram="4G"
cpu_cores=2
boot="legacy"
tpm="on"
port_forwards=("8080:80" # the web
  "2222:22")
macaddr="52:54:00:aa:00:01"
extra_args="$(touch {d}/run)"
public_dir=`touch {d}/run`
"""
    report, s = h.take(write(d + "/u.conf", text), "quickemu")
    assert not os.path.exists(d + "/run")
    for what in ("extra_args, whose value a shell", "public_dir, whose value a shell", "tpm=on", "gone.iso"):
        has(report["left"], what)
    assert s["nic1"] == {"model": "virtio-net", "mode": "nat", "mac": "52:54:00:aa:00:01", "forward": "tcp 8080 80; tcp 2222 22"}, s
    assert s["machine"]["memory"] == "4G" and s["machine"]["cpus"] == "2", s
    h.same_disk("quickemu", "virtio-disk0")


# ---- what wants something else ----

def archives(h):
    d = h.folder()
    h.image(d, "disk.vmdk", "vmdk", "-o", "subformat=streamOptimized")
    write(d + "/x.ovf", ovf(BASIC + SATA + DISK))
    good = pack(d, ["x.ovf", "disk.vmdk"])
    with open(good, "rb") as f:
        data = f.read()
    h.refused(pack(d, ["x.ovf", "disk.vmdk"], "sum.ova", change=lambda t: re.sub("= .", "= 0" if "= 1" in t else "= 1", t)), "is damaged")
    h.refused(pack(d, ["x.ovf", "disk.vmdk"], "mf.ova", change=lambda t: t + "SHA256(other)= 00\n"), "other, which is not in the archive", code=3)
    h.refused(pack(d, ["x.ovf", "disk.vmdk"], "mf2.ova", change=lambda t: t + "hello\n"), "no checksum that is known")
    for name, between in ("zero", "\0"), ("long", "\n" * (1 << 20)):  # behind which a sum might go unseen
        h.refused(pack(d, ["x.ovf", "disk.vmdk"], name + ".ova", change=lambda t, between=between: t + between + "SHA256(disk.vmdk)= 00\n"),
                  "a manifest of more than 1 MiB")
    h.refused(pack(d, ["disk.vmdk"], "none.ova"), "there is no .ovf")
    h.refused(pack(d, ["x.ovf"], "less.ova"), "disk.vmdk, which is not in the archive", code=3)
    h.refused(write(d + "/cut.ova", data[:-len(data) // 2]), "ends in the middle")
    h.refused(write(d + "/noise.ova", data[:600] + bytes(os.urandom(5000))), "archive")
    for name, change in {"up": ("../x", None), "deep": ("a/b", None), "abs": ("/etc/x", None), "twice": ("disk.vmdk", None),
                         "link": ("l", tarfile.SYMTYPE), "hard": ("h", tarfile.LNKTYPE), "pipe": ("p", tarfile.FIFOTYPE)}.items():
        with tarfile.open(f"{d}/{name}.ova", "w", format=tarfile.USTAR_FORMAT) as t:
            t.add(d + "/x.ovf", "x.ovf")
            t.add(d + "/disk.vmdk", "disk.vmdk")
            info = tarfile.TarInfo(change[0])
            info.type, info.linkname = change[1] or tarfile.REGTYPE, "disk.vmdk"
            t.addfile(info)
        h.refused(f"{d}/{name}.ova", {"twice": "two members"}.get(name, "is a link" if change[1] else "without a folder"))
    huge = bytearray(data)
    start = data.index(b"disk.vmdk\0")
    huge[start + 124:start + 136] = b"77777777777\0"
    header = bytes(huge[start:start + 148]) + b" " * 8 + bytes(huge[start + 156:start + 512])
    huge[start + 148:start + 156] = b"%06o\0 " % sum(header)
    h.refused(write(d + "/huge.ova", bytes(huge)), "ends in the middle")


def descriptions(h):
    d = h.folder()
    path = d + "/x.ovf"
    h.image(d, "disk.vmdk", "vmdk", "-o", "subformat=streamOptimized")
    h.refused(write(path, "<Envelope>"), "not well-formed")
    h.refused(write(path, '<!DOCTYPE x [<!ENTITY a "b">]><Envelope/>'), "entities")
    bomb = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    h.refused(write(path, f'<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">{bomb}]><Envelope>&a11;</Envelope>'), "entit")
    h.refused(write(path, f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Envelope>&a;</Envelope>'), "entities")
    h.refused(write(path, "<Envelope>" * 100000), "not well-formed")
    h.refused(write(path, "<Other/>"), "no description of a machine")
    h.refused(write(path, "<Envelope/>"), "no machine in it")
    h.refused(write(path, "<Envelope><VirtualSystemCollection/></Envelope>"), "several machines")
    h.refused(write(path, " " * (5 << 20)), "4 MiB")
    h.refused(write(path, ovf(BASIC + SATA + DISK, files=())), "<References> does not have")
    h.refused(write(path, ovf(BASIC + SATA + DISK).replace('ovf:href=', 'ovf:compression="gzip" ovf:href=')), "packed")
    other = h.folder()
    h.image(other, "disk.vmdk", "vmdk", "-o", "subformat=streamOptimized")
    h.refused(write(path, ovf(BASIC + SATA + DISK, files=(("file1", f"../{os.path.basename(other)}/disk.vmdk"),))), "--outside", code=6)
    h.refused(write(path, ovf(BASIC, files=[(f"f{i}", "x") for i in range(2000)])), "2000 files")
    report, s = h.take(write(path, ovf(BASIC[:1] + SATA + DISK + [item(InstanceID=77, ResourceType=999)] * 3)
                             .replace("<rasd:VirtualQuantity>2", "<rasd:VirtualQuantity>4000000000")), "odd")
    has(report["left"], "type 999")
    has(report["left"], "memory")
    h.refused(d + "/gone.ovf", "No such file", code=3)


def secrets(h):
    """A description that wants the files of whoever imports it."""
    d, other = h.folder(), h.folder()
    secret = write(other + "/letters", b"secret" * 1000)
    head = 'config.version = "8"\nmemsize = "64"\nide0:0.present = "TRUE"\n'
    h.refused(write(d + "/a.vmx", head + f'ide0:0.fileName = "{secret}"\n'), "--outside", code=6)
    h.refused(write(d + "/a.vmx", head + f'ide0:0.fileName = "../{os.path.basename(other)}/letters"\n'), "--outside", code=6)
    h.refused(d + "/a.vmx", "--outside", "--in-place", code=6)
    os.symlink(secret, d + "/link.img")
    h.refused(write(d + "/a.vmx", head + 'ide0:0.fileName = "link.img"\n'), "--outside", code=6)
    h.refused(write(d + "/a.vmx", head + f'ide0:0.fileName = "x.iso"\nide0:0.deviceType = "cdrom-image"\n'.replace("x.iso", secret)), "--outside", code=6)
    write(other + "/base.raw", b"secret" * (512 * 100))
    h.tool("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", other + "/base.raw", d + "/d.qcow2")
    h.refused(write(d + "/a.vmx", head + 'ide0:0.fileName = "d.qcow2"\n'), "--outside", code=6)
    h.take(d + "/a.vmx", "trusted", "--outside")
    if os.geteuid():  # its own folder's files that one may not read are another matter
        write(d + "/own.raw", b"x" * 512)
        os.chmod(d + "/own.raw", 0)
        h.refused(write(d + "/b.vmx", head + 'ide0:0.fileName = "own.raw"\n'), f"vmctl: cannot open {d}/own.raw: Permission denied", code=6)
    h.tool("qemu-img", "compare", "-F", "raw", h.machines + "trusted/ide0.qcow2", other + "/base.raw")
    write(d + "/x.ovf", ovf(BASIC + SATA + DISK, files=(("file1", "d.qcow2"),), disks='<Disk ovf:capacity="1" ovf:diskId="d1" ovf:fileRef="file1"/>'))
    h.refused(pack(d, ["x.ovf", "d.qcow2"]), "other files, too")
    bad = {"nic1.tftp": other, "serial1.target": f"file:{other}/log", "machine.kernel": secret, "ide1.file": secret, "nic1.model": "e1000"}
    bad.update({"sata0.offset": "512", "sata0.size": "1024", "console1.target": f"socket:{other}/s", "machine.firmware": secret})
    ours = '<tr:Settings xmlns:tr="https://terrarium.invalid/ovf/1">' + "".join(f'<tr:Setting key="{k}" value="{v}"/>' for k, v in bad.items()) + "</tr:Settings>"
    report, s = h.take(write(d + "/ours.ovf", ovf(BASIC, extra=ours)), "ours")
    assert s == {"nic1": {"model": "e1000"}}, s
    for key in set(bad) - {"nic1.model"}:
        has(report["left"], key)
    has(report["mapped"], "nic1.model=e1000")
    report, s = h.take(write(d + "/not-ours.ovf", ovf(BASIC, extra=ours.replace("terrarium.invalid", "other"))), "notours")
    assert s["machine"]["memory"] == "512M" and "nic1" not in s, s
    shutil.copy(d + "/d.qcow2", d + "/e.qcow2")
    for sections in (("../../x", "machine", "serial1"), ("ide0", "ide0")):
        images = "".join(f'<tr:Image section="{x}" diskId="d1"/>' for x in sections)
        text = ovf(BASIC, files=(("file1", "e.qcow2"),), extra=ours.replace("</tr:Settings>", images + "</tr:Settings>"))
        h.refused(write(d + "/images.ovf", text), "which is no drive or has one already")


# ---- export ----

def members(path):
    with tarfile.open(path, "r:") as t:
        return {m.name: t.extractfile(m).read() for m in t.getmembers()}


def check_sums(files, manifest):
    lines = dict(re.fullmatch(r"SHA256\((.*)\)= ([0-9a-f]{64})", line).groups() for line in manifest.decode().splitlines())
    assert lines == {n: hashlib.sha256(d).hexdigest() for n, d in files.items() if not n.endswith(".mf")}, lines


def export(h):
    d = h.folder()
    h.image(d, "disk.qcow2", "qcow2")
    h.want(0, "create", "out", "--os", "linux", "--disk", d + "/disk.qcow2", "--disk", "2M", "--cdrom", "", "--set", "sata3.media=cdrom", "--set", "rng.virtio=modern",
           "--set", f"machine.uuid={UUID}", "--set", "machine.memory=320M", "--set", "nic1.forward=tcp 2222 22", "--set", "machine.name=<&\">")
    before = h.settings("out")
    report = json.loads(h.want(0, "export", "out", d + "/a.ova", "-o", "json", "-q"))
    has(report["left"], "virtio-disk0 is on SATA")
    files = members(d + "/a.ova")
    assert list(files) == ["a.ovf", "a-disk1.vmdk", "a-disk2.vmdk", "a.mf"], list(files)
    check_sums(files, files["a.mf"])
    h.want(7, "export", "out", d + "/a.ova", err="exists already")
    h.want(2, "export", "out", d + "/a.tar", err=".ova")
    # again here: the same
    report, after = h.take(d + "/a.ova", "back")
    assert not report["left"] and set(after) == set(before), report
    for s in (before, after):
        for disk in ("virtio-disk0", "virtio-disk1"):
            del s[disk]
    assert after == before, (before, after)
    h.same_disk("back", "virtio-disk0")
    # for other programs: what they read
    for name, data in files.items():
        write(d + "/" + name, data)
    h.tool("qemu-img", "compare", "-f", "vmdk", "-F", "raw", d + "/a-disk1.vmdk", h.base + "/raw")
    h.tool("xmllint", "--noout", "--nonet", d + "/a.ovf")
    write(d + "/b.ovf", re.sub(rb"(?s)<tr:Settings.*</tr:Settings>", b"", files["a.ovf"]))
    report, s = h.take(d + "/b.ovf", "foreign")
    assert s["nic1"]["mac"] == before["nic1"]["mac"], s
    assert {"sata0", "sata1", "ide2", "sata3", "nic1"} <= set(s) and s["machine"]["memory"] == "320M" and s["nic1"]["model"] == "virtio-net", s
    h.same_disk("foreign", "sata0")
    # several files, and a domain
    write(d + "/c-disk2.vmdk", "old")
    write(d + "/c.mf", "old")
    h.want(7, "export", "out", d + "/c.ovf", "-q", err="c-disk2.vmdk exists already")
    h.want(0, "export", "out", d + "/c.ovf", "-q", "--force")
    assert {n for n in os.listdir(d) if n.startswith("c")} == {"c.ovf", "c-disk1.vmdk", "c-disk2.vmdk", "c.mf"}, os.listdir(d)
    files = {n: open(d + "/" + n, "rb").read() for n in os.listdir(d) if n.startswith("c")}
    check_sums(files, files["c.mf"])
    h.take(d + "/c.ovf", "several")
    h.same_disk("several", "virtio-disk0")
    h.want(0, "set", "out", f"machine.kernel={h.base}/raw", "serial1.target=file:x", "machine.firmware=uefi")
    report = json.loads(h.want(0, "export", "out", d + "/d.xml", "--format", "libvirt", "-o", "json"))
    for what in ("machine.kernel", "serial1.target", "UEFI"):
        has(report["left"], what)
    report, s = h.take(d + "/d.xml", "domain", "--outside")
    assert s["nic1"]["mac"] == before["nic1"]["mac"] and s["machine"]["uuid"] == UUID, s
    h.same_disk("domain", "virtio-disk0")


def export_replaces(h):
    """With --force only, when the new one is complete, and nothing that is a machine's."""
    d = h.folder()
    h.image(d, "disk.qcow2", "qcow2")
    h.want(0, "create", "again", "--disk", d + "/disk.qcow2")
    write(d + "/a.ova", "old")
    h.want(7, "export", "again", d + "/a.ova", "-q", err="exists already")
    h.want(0, "export", "again", d + "/a.ova", "-q", "--force")
    assert "a.ovf" in members(d + "/a.ova")
    # one that fails leaves the old one
    os.rename(d + "/disk.qcow2", d + "/away.qcow2")
    before = open(d + "/a.ova", "rb").read()
    h.want(3, "export", "again", d + "/a.ova", "-q", "--force", err="disk.qcow2")
    assert open(d + "/a.ova", "rb").read() == before
    os.rename(d + "/away.qcow2", d + "/disk.qcow2")
    # what it would not be a replacement of
    os.mkdir(d + "/folder.ova")
    os.symlink("a.ova", d + "/link.ova")
    for name in ("folder", "link"):
        h.want(1, "export", "again", f"{d}/{name}.ova", "-q", "--force", err="no regular file")
    h.image(d, "own-disk1.vmdk", "vmdk")
    h.want(0, "create", "owner", "--disk", d + "/own-disk1.vmdk")
    disk = open(d + "/own-disk1.vmdk", "rb").read()
    h.want(9, "export", "owner", d + "/own.ovf", "-q", "--force", err="is a disk of the machine owner")
    assert open(d + "/own-disk1.vmdk", "rb").read() == disk
    assert not [n for n in os.listdir(d) if n.startswith(".export-")]


def export_killed(h):
    d, rng = h.folder(), random.Random(1)
    h.want(0, "create", "big", "--disk", "64M", "--disk-format", "qcow2")
    h.tool("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 60M", h.machines + "big/disk.qcow2")
    for n in range(6):
        file = d + ("/x.ova" if n % 2 else "/x.ovf")
        p = subprocess.Popen([VMCTL, "export", "big", file, "-q"], env=h.env, stderr=subprocess.DEVNULL)
        time.sleep(rng.random() * 0.3)
        p.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
        p.wait(60)
        time.sleep(0.1)  # the child goes with it
        there = sorted(t for t in os.listdir(d) if not t.startswith(".export-"))
        assert os.path.exists(file) or not there or all(t.endswith((".vmdk", ".mf")) for t in there), there
        if os.path.exists(file):
            h.want(0, "import", file, "--dry-run", "-q")
        for name in there:
            os.remove(d + "/" + name)
    h.want(0, "export", "big", d + "/y.ova", "-q")
    assert os.listdir(d) == ["y.ova"], f"leftovers: {os.listdir(d)}"


def main():
    h, failed = Host(), 0
    parts = [ova_virtualbox, ova_vmware, ovf_2, vmx, vbox, libvirt, utm, quickemu, archives, descriptions, secrets, export, export_replaces, export_killed]
    print(f"1..{len(parts)}", flush=True)
    for n, part in enumerate(parts, 1):
        try:
            part(h)
            print(f"ok {n} {part.__name__}", flush=True)
        except (AssertionError, KeyError, ValueError):
            failed += 1
            print(f"not ok {n} {part.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    shutil.rmtree(h.base)
    return 1 if failed else 0


sys.exit(main())
