# SPDX-License-Identifier: GPL-2.0-or-later
# packages.sh - shared by ./quickstart and ./check: what to install on Debian 12 and Ubuntu 24.04, and how to build.
# Sourced by sh from the root of the tree.

BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkg-config python3 acpica-tools binutils libglib2.0-dev libjson-glib-dev
libarchive-dev libcrypt-dev libext2fs-dev ntfs-3g-dev libxml2-dev libslirp-dev libvncserver-dev libxkbcommon-dev libsdl2-dev libx11-dev libpango1.0-dev libpng-dev libseccomp-dev libzydis-dev zlib1g-dev libzstd-dev"
RUN_PACKAGES="seabios xkb-data"
# A Linux to boot: packages are downloaded and unpacked, not installed, by the scripts that want a kernel.
GUEST_PACKAGES="busybox-static cpio gzip xorriso isolinux syslinux-common mtools grub-pc-bin grub-common dosfstools ovmf swtpm"
TEST_PACKAGES="$RUN_PACKAGES $GUEST_PACKAGES e2fsprogs iproute2 ntfs-3g qemu-utils gcc-multilib libc6-dev-i386 make strace xvfb xauth xdotool xclip metacity twm xfonts-base wimtools genisoimage python3-yaml debconf libxml2-utils openssl
vncsnapshot gvncviewer"
# The manager.
BUILD_PACKAGES="$BUILD_PACKAGES libgtk-4-dev libadwaita-1-dev gettext"
TEST_PACKAGES="$TEST_PACKAGES python3-gi at-spi2-core dbus procps x11-utils desktop-file-utils appstream shared-mime-info man-db mandoc"

HOSTS_PACKAGES="qemu-system-x86 bochs bochs-term bochsbios vgabios" # CPUs for the suite hosts
VNC_PACKAGES="tigervnc-viewer imagemagick novnc gir1.2-webkit2-4.1" # other people's clients, for the suite vnc
PACKAGE_PACKAGES="dpkg-dev debhelper fakeroot lintian" # a Debian package, for .ci/package
INSTALL_PACKAGES="debhelper po-debconf dpkg-dev fakeroot" # the suite install builds components of Debian's installer with them
SOUND_PACKAGES="pulseaudio pulseaudio-utils" # a sound server, for the suite sound
NETWORK_PACKAGES="dnsmasq-base tshark" # a LAN, and somebody to look at captures, for the suite network

say() {
	printf '%s\n' "== $*" >&2
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		say "needs root to install packages: sudo $*"
		sudo "$@"
	fi
}

missing_packages() {
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$p"
	done
}

# need_packages build|run|test|hosts|network|package|vnc|install ...: installs what is missing of these groups; asks nothing if nothing is.
need_packages() {
	command -v apt-get >/dev/null || {
		say "no apt-get here: install the equivalents of: $BUILD_PACKAGES $RUN_PACKAGES"
		return 0
	}
	list=""
	for group in "$@"; do
		case $group in
		build) list="$list $BUILD_PACKAGES" ;;
		run) list="$list $RUN_PACKAGES $GUEST_PACKAGES" ;;
		test) list="$list $TEST_PACKAGES" ;;
		hosts) list="$list $HOSTS_PACKAGES" ;;
		package) list="$list $PACKAGE_PACKAGES" ;;
		network) list="$list $NETWORK_PACKAGES" ;;
		sound) list="$list $SOUND_PACKAGES" ;;
		vnc) list="$list $VNC_PACKAGES" ;;
		install) list="$list $INSTALL_PACKAGES" ;;
		esac
	done
	# shellcheck disable=SC2046,SC2086
	list=$(missing_packages $list)
	[ -n "$list" ] || return 0
	say "installing: $list"
	as_root apt-get update -qq || say "apt-get update failed; going on with the package lists that are there"
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $list >/dev/null || {
		say "packages could not be installed; see the message above"
		return 1
	}
}

# build_tree DIR [meson option]...
build_tree() {
	dir=$1
	shift
	if [ ! -f "$dir/build.ninja" ]; then
		meson setup "$dir" "$@" >/dev/null || {
			say "meson setup failed; see $dir/meson-logs/meson-log.txt"
			return 1
		}
	elif [ $# -gt 0 ]; then
		meson configure "$dir" "$@" >/dev/null || return 1
	fi
	quiet=--quiet
	[ ! -t 1 ] || quiet="" # a line that counts the steps
	# shellcheck disable=SC2086
	ninja -C "$dir" $quiet || {
		say "the build failed; see above"
		return 1
	}
}
