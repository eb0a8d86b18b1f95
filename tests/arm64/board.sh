#!/usr/bin/env bash
# Runs a command on an emulated 64-bit ARM board: Debian with the base install of edgecheck, under qemu-user.
#
#   tests/arm64/board.sh FOLDER COMMAND [ARGUMENT...]     e.g. tests/arm64/board.sh /tmp/arm64 edgecheck doctor
#
# FOLDER holds the board, is made if it is not there, and is used again by later calls. The command runs in /files, which
# is FOLDER/root/files here. ARM64_CPU is the CPU: cortex-a76 (the default) or cortex-a72. Exits with 77, and one line that
# says why, where the board cannot be made. Nothing of this machine changes: qemu is registered in a namespace of the
# command alone.
set -euo pipefail
folder=$(realpath -m "$1")
shift
here=$(cd "$(dirname "$0")/../.." && pwd)
root=$folder/root
python=${PYTHON:-python3}
suite=bookworm    # whose Python is 3.11, as in constraints.txt
cpu=${ARM64_CPU:-cortex-a76}
case $cpu in
    cortex-a76)  # of a Raspberry Pi 5, with int8 dot products (asimddp)
        part=0xd0b
        features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp" ;;
    cortex-a72)  # of a Raspberry Pi 4, without
        part=0xd08
        features="fp asimd evtstrm crc32 cpuid" ;;
    *) echo "ARM64_CPU=$cpu: cortex-a76 or cortex-a72" >&2; exit 2 ;;
esac

skip() { echo "arm64 board skipped: $1" >&2; exit 77; }

needs() { command -v "$1" >/dev/null || skip "$1 is missing; install the package $2"; }

# Runs "$@" and keeps what it prints; where it fails, skips with the last line.
fetch() { "$@" >"$folder/log" 2>&1 || skip "$1 failed, is this machine offline? $(tail -n 1 "$folder/log")"; }

# Unpacks Debian, and leaves out the second stage of debootstrap: packages need no configuration to run Python, and
# configuring them takes ten minutes in the emulator.
make_debian() {
    local new=$folder/new
    rm -rf "$new"
    fetch debootstrap --foreign --arch=arm64 --variant=minbase --include=python3,python3-venv,python3-pip "$suite" "$new"
    for package in "$new"/var/cache/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$new" --keep-directory-symlink
    done
    rm -rf "$new/debootstrap" "$new"/var/cache/apt/archives/*.deb
    for mount in proc sys dev; do  # in a container, debootstrap makes /proc a link
        if [ -L "$new/$mount" ]; then rm "$new/$mount"; fi
        mkdir -p "$new/$mount"
    done
    mkdir -p "$new/files" "$new/wheels"
    mv "$new" "$root"
}

# ONNX Runtime reads /proc/cpuinfo when it is imported, and crashes on the x86 lines that qemu 7 passes on.
write_cpuinfo() {
    for processor in $(seq 0 $(($(getconf _NPROCESSORS_CONF) - 1))); do
        printf 'processor\t: %s\nFeatures\t: %s\nCPU implementer\t: 0x41\n' "$processor" "$features"
        printf 'CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: %s\nCPU revision\t: 3\n\n' "$part"
    done
    printf 'Model\t\t: QEMU %s\n' "$cpu"
}

# Runs "$@" on the board: by binfmt_misc, which since Linux 6.7 each user namespace has for itself, else by proot.
on_board() {
    local inside=(/usr/bin/env -i -C /files PATH=/opt/board/bin:/usr/bin:/bin HOME=/root LC_ALL=C.UTF-8
        OMP_NUM_THREADS=1 QEMU_CPU=$cpu "$@")
    if by_namespace true 2>/dev/null; then
        by_namespace chroot "$root" "${inside[@]}"
    else
        proot -w / -q qemu-aarch64-static -0 -r "$root" -b "$folder/cpuinfo:/proc/cpuinfo" -b /proc -b /dev -b /sys \
            "${inside[@]}"
    fi
}

by_namespace() { unshare --map-root-user --mount bash -euc "$register" "$root" "$folder/cpuinfo" "$qemu" "$@"; }

# The magic bytes of a 64-bit ARM program, and the mask of those that count; F opens qemu now, outside of the chroot.
register='
magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] ||
    printf "%s" ":qemu-aarch64:M::$magic:$mask:$2:F" >/proc/sys/fs/binfmt_misc/register
mount --rbind /proc "$0/proc"
mount --rbind /dev "$0/dev"
mount --rbind /sys "$0/sys"
mount --bind "$1" "$0/proc/cpuinfo"
shift 2
exec "$@"'

# Installs the checkout and the wheels of its base install from a folder, as on a board without internet.
install() {
    local wheel wheels=$root/wheels packages=$root/opt/board/lib/python3.11/site-packages
    rm -rf "$folder/built"
    fetch "$python" -m pip wheel --quiet --no-deps --wheel-dir "$folder/built" "$here"
    wheel=$(basename "$folder"/built/edgecheck-*.whl)
    recipe "$folder/built/$wheel" >"$folder/wanted"
    if cmp -s "$folder/installed" "$folder/wanted"; then return; fi
    fetch "$python" -m pip download --dest "$wheels" --find-links "$wheels" --constraint "$here/constraints.txt" \
        --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 \
        "$folder/built/$wheel"
    cp "$folder/built/$wheel" "$wheels"
    # Without its own pip, which would take half a minute in the emulator.
    [ -e "$packages" ] || on_board /usr/bin/python3 -m venv --without-pip /opt/board
    rm -rf "$packages"/edgecheck*
    on_board /usr/bin/python3 -m pip --python /opt/board/bin/python install --quiet --no-index --find-links /wheels \
        "/wheels/$wheel"
    mv "$folder/wanted" "$folder/installed"
}

# What is installed: the pins, and the files of a wheel with their checksums, since the wheel differs with every build.
recipe() {
    cat "$here/constraints.txt"
    "$python" -c 'import sys, zipfile; [print(i.filename, i.CRC) for i in zipfile.ZipFile(sys.argv[1]).infolist()]' "$1"
}

mkdir -p "$folder"
needs qemu-aarch64-static qemu-user-static
qemu=$(command -v qemu-aarch64-static)
if [ ! -e "$root" ]; then
    needs debootstrap debootstrap
    needs dpkg-deb dpkg
    [ "$(id -u)" = 0 ] || skip "only root can run debootstrap"
    make_debian
fi
write_cpuinfo >"$folder/cpuinfo"
by_namespace true 2>/dev/null || needs proot proot
install
on_board "$@"
