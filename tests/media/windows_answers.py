# SPDX-License-Identifier: GPL-2.0-or-later
"""What an answer file for Windows may have: our own table from Microsoft's "Unattended Windows Setup Reference" and its samples.
Passes in their order; for each component the passes in which it is read; for each element its children in the documented order,
or, if it has none, what its value must look like."""
import re
import xml.etree.ElementTree

NS = "{urn:schemas-microsoft-com:unattend}"
ADD = "{http://schemas.microsoft.com/WMIConfig/2002/State}action"
PASSES = ["windowsPE", "offlineServicing", "generalize", "specialize", "auditSystem", "auditUser", "oobeSystem"]

TRUTH, NUMBER, TEXT = "true|false", "[0-9]+", "(?s).*"
TAG, INPUT = "[a-z]{2,3}-[A-Z]{2}", "[0-9a-f]{4}:[0-9a-f]{8}"
SHOW = "Always|OnError|Never"
COMMANDS = {"RunSynchronousCommand+": {"Credentials": {}, "Description": TEXT, "Order": NUMBER, "Path": "(?s).{1,259}",
                                       "WillReboot": "Always|OnRequest|Never"}}
PASSWORD = {"Value": "[A-Za-z0-9+/]*=*", "PlainText": TRUTH}
LOCALES = {"InputLocale": INPUT, "SystemLocale": TAG, "UILanguage": TAG, "UILanguageFallback": TAG, "UserLocale": TAG}
COMPONENTS = {
    "Microsoft-Windows-International-Core-WinPE": (
        ["windowsPE"], {"SetupUILanguage": {"UILanguage": TAG, "WillShowUI": SHOW}, **LOCALES}),
    "Microsoft-Windows-Setup": (["windowsPE"], {
        "DiskConfiguration": {
            "Disk+": {
                "CreatePartitions": {"CreatePartition+": {"Extend": TRUTH, "Order": NUMBER, "Size": NUMBER,
                                                          "Type": "Primary|EFI|Extended|Logical|MSR"}},
                "ModifyPartitions": {"ModifyPartition+": {"Active": TRUTH, "Extend": TRUTH, "Format": "NTFS|FAT32", "Label": ".{1,32}",
                                                          "Letter": "[C-Z]", "Order": NUMBER, "PartitionID": NUMBER, "TypeID": TEXT}},
                "DiskID": NUMBER, "WillWipeDisk": TRUTH},
            "DisableEncryptedDiskProvisioning": TRUTH, "WillShowUI": SHOW},
        "ImageInstall": {"OSImage": {"InstallFrom": {"MetaData+": {"Key": "/IMAGE/(INDEX|NAME|DESCRIPTION)", "Value": TEXT}},
                                     "InstallTo": {"DiskID": NUMBER, "PartitionID": NUMBER}, "WillShowUI": SHOW}},
        "RunSynchronous": COMMANDS,
        "UserData": {"ProductKey": {"Key": "|[A-Z0-9]{5}(-[A-Z0-9]{5}){4}", "WillShowUI": SHOW}, "AcceptEula": TRUTH,
                     "FullName": TEXT, "Organization": TEXT}}),
    "Microsoft-Windows-Deployment": (["specialize", "auditUser"], {"RunSynchronous": COMMANDS}),
    "Microsoft-Windows-International-Core": (["specialize", "oobeSystem"], LOCALES),
    "Microsoft-Windows-Shell-Setup": (["specialize", "oobeSystem"], {
        "AutoLogon": {"Password": PASSWORD, "Domain": TEXT, "Enabled": TRUTH, "LogonCount": NUMBER, "Username": ".{1,256}"},
        "ComputerName": "[A-Za-z0-9-]{1,15}",
        "OOBE": {"HideEULAPage": TRUTH, "HideLocalAccountScreen": TRUTH, "HideOEMRegistrationScreen": TRUTH,
                 "HideOnlineAccountScreens": TRUTH, "HideWirelessSetupInOOBE": TRUTH, "NetworkLocation": "Home|Work|Other",
                 "ProtectYourPC": "[123]"},
        "ProductKey": "[A-Z0-9]{5}(-[A-Z0-9]{5}){4}", "TimeZone": ".{1,256}",
        "UserAccounts": {"LocalAccounts": {"LocalAccount+": {"Password": PASSWORD, "Description": TEXT, "DisplayName": ".{1,256}",
                                                             "Group": TEXT, "Name": ".{1,20}"}}}}),
}
IN_PASS = {("specialize", "AutoLogon"): True, ("oobeSystem", "ComputerName"): False, ("specialize", "OOBE"): False,
           ("specialize", "UserAccounts"): False, ("oobeSystem", "ProductKey"): False}
SINCE_8 = {"HideLocalAccountScreen", "HideOEMRegistrationScreen", "HideOnlineAccountScreens"}


def name_of(element):
    assert element.tag.startswith(NS), f"{element.tag} is not of the namespace"
    return element.tag[len(NS):]


def check_children(element, table, path):
    order = [k.rstrip("+") for k in table]
    at = 0
    for child in element:
        name, many = name_of(child), f"{name_of(child)}+" in table
        assert name in order, f"{path} has no {name}"
        assert order.index(name) >= at, f"{name} stands too late in {path}"
        at = order.index(name) + (0 if many else 1)
        assert (child.get(ADD) == "add") == many, f"{path}/{name}: wcm:action"
        below = table[name + "+" if many else name]
        if isinstance(below, dict):
            check_children(child, below, f"{path}/{name}")
        else:
            assert not len(child) and re.fullmatch(below, child.text or ""), f"{path}/{name} is {child.text!r}"


def check(text, build):
    """The root, if all is as documented for that build."""
    root = xml.etree.ElementTree.fromstring(text)
    assert name_of(root) == "unattend"
    passes = [s.get("pass") for s in root]
    assert passes == sorted(set(passes), key=PASSES.index) and passes[0] == "windowsPE", passes
    for settings in root:
        names = [c.get("name") for c in settings]
        assert len(set(names)) == len(names), names
        for component in settings:
            where, table = COMPONENTS[component.get("name")]
            assert settings.get("pass") in where, f"{component.get('name')} is not read in {settings.get('pass')}"
            assert component.get("publicKeyToken") == "31bf3856ad364e35" and component.get("language") == "neutral"
            assert component.get("versionScope") == "nonSxS" and component.get("processorArchitecture") in ("amd64", "x86", "arm64")
            check_children(component, table, component.get("name"))
            for child in component:
                assert IN_PASS.get((settings.get("pass"), name_of(child)), True), f"{name_of(child)} in {settings.get('pass')}"
    found = {name_of(e) for e in root.iter()}
    assert build >= 9200 or not found & SINCE_8, found & SINCE_8
    assert build < 9200 or "NetworkLocation" not in found
    return root


def get(root, path):
    """The texts of all elements of that path below a component."""
    names = path.split("/")
    return [e.text or "" for c in root.iter(NS + "component") for e in c.findall("/".join(NS + n for n in names))]
