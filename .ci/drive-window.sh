#!/usr/bin/env bash
# Drives the real window once on a display of its own, as a person would: opens a file through the native dialog.
#   drive-window.sh PROGRAM FOLDER-FOR-PICTURES
# With GUI_DRIVE set to the accessibility driver (PROGRAM built with the feature `inspection`), the pages are looked at too.
set -euo pipefail
program=$(realpath "$1")
pictures=$(realpath "$2")
root=$(realpath "$(dirname "$0")/..")
first=$root/tests/fixtures/keras/keras2_model.h5
second=$root/tests/fixtures/pytorch/checkpoint.ckpt
checks=0

fail() {
    echo "window: $*" >&2
    [ -z "${DISPLAY:-}" ] || import -window root "$pictures/window-failed.png" 2>/dev/null || true
    [ ! -s "$scratch/stderr" ] || tail -n 20 "$scratch/stderr" >&2
    exit 1
}

passed() {
    checks=$((checks + 1))
    echo "window: $*"
}

# wait_until SECONDS COMMAND…: repeats the command until it succeeds.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

scratch=$(mktemp -d)
children=()
# Invoked by the trap, on every way out.
finish() {
    local child
    for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT

# A home of its own: no settings of the last run, and none left behind.
export HOME=$scratch XDG_CONFIG_HOME=$scratch/config XDG_DATA_HOME=$scratch/data XDG_RUNTIME_DIR=$scratch/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
# No session bus, so that the dialog is zenity's; merely unset, one might be started.
export DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent
export LIBGL_ALWAYS_SOFTWARE=1 NO_AT_BRIDGE=1
unset WAYLAND_DISPLAY

# The server itself looks for a free number and writes it to descriptor 3. Without -noreset it would start over,
# and refuse the program meanwhile, whenever its only client leaves: the first xdotool.
mkfifo "$scratch/display"
Xvfb -displayfd 3 -screen 0 1600x1000x24 -nolisten tcp -noreset 3>"$scratch/display" >/dev/null 2>&1 &
children+=($!)
read -r -t 20 number <"$scratch/display" || fail "no X server"
export DISPLAY=":$number"
openbox >/dev/null 2>&1 &
children+=($!)
# A window that is mapped in the moment when the manager takes over is never shown: it must be in charge first.
wait_until 30 xdotool get_num_desktops || fail "no window manager"

port=$((20000 + $$ % 20000))
EGUI_INSPECTION="127.0.0.1:$port" "$program" >"$scratch/stdout" 2>"$scratch/stderr" &
app=$!
children=("$app" "${children[@]}")
alive() { kill -0 "$app"; }

window_of() { xdotool search --onlyvisible --name "$1"; }
wait_until 60 window_of '^Ckptscope' || fail "no window appeared"
window=$(window_of '^Ckptscope' | head -n 1)
passed "the window appeared"

# open_by_dialog FILE: Ctrl+O, then the path typed into the dialog.
open_by_dialog() {
    local dialog
    xdotool windowfocus --sync "$window" key --clearmodifiers ctrl+o
    wait_until 20 window_of '^(zenity|Open.*)$' || fail "no file dialog appeared"
    dialog=$(window_of '^(zenity|Open.*)$' | head -n 1)
    sleep 1
    xdotool windowfocus --sync "$dialog"
    xdotool key --clearmodifiers ctrl+l
    sleep 0.5
    xdotool type --delay 15 "$1"
    sleep 0.5
    xdotool key Return
    # A reader keeps its file open for the values.
    wait_until 20 holds_open "$1" || fail "$1 was not opened"
    alive || fail "the program is gone"
}
holds_open() { find "/proc/$app/fd" -lname "$1" | grep -q .; }

sleep 1
open_by_dialog "$first"
passed "a file was opened through the native dialog"
sleep 1
import -window root "$pictures/window-opened.png"

drive() { "$GUI_DRIVE" --addr "127.0.0.1:$port" "$@" || fail "gui-drive $*"; }
if [ -n "${GUI_DRIVE:-}" ]; then
    GUI_DRIVE=$(realpath "$GUI_DRIVE")
    drive "wait-app 10" "wait-for 10 conv_1" "click View" "click Expand all" "wait-for 5 kernel" "click kernel"
    passed "the layer tree opens down to its tensors"
    drive "wait-for 10 Bins of the histogram" "expect std" "expect-none There are no elements"
    passed "a tensor has its statistics and its histogram"
    drive "wait-for 10 Heat map of the values" "settle" "screenshot $pictures/window-explore.png"
    drive "click Norms" "wait-for 10 L2 norm of each row" "click Values" "wait-for 10 Copy or save the values" "click Spectrum" "click Compute spectrum" "wait-for 30 spectral norm"
    drive "click Overview" "click conv_1" "wait-for 10 Area of kernel" "click Tensors (" "wait-for 10 Statistics of conv_1.kernel"
    drive "click Edit" "click Show checkpoint summary" "wait-for 10 Health" "click Layers" "wait-for 10 Layer conv_1" "click Overview"
    passed "each inspector of a tensor, a layer and a checkpoint shows its numbers"
    drive "click Metadata" "wait-for 5 training_config" "settle" "screenshot $pictures/window-metadata.png"
    passed "the metadata page shows what is no tensor"
    open_by_dialog "$second"
    drive "wait-for 10 best_accuracy" "click Explore" "wait-for 5 model_state_dict" "expect $(basename "$first")"
    passed "a second file is open beside the first"

    open_by_dialog "$root/tests/fixtures/compare/fine_tune_left.pt"
    open_by_dialog "$root/tests/fixtures/compare/fine_tune_right.pt"
    # The third node of that name is the entry of the submenu, after the head of the inspector and the entry of the list.
    drive "right-click fine_tune_left.pt" "click Compare with…" "settle" "click-nth 3 fine_tune_right.pt" "wait-for 20 2 changed"
    drive "click blocks.11.attn.weight" "wait-for 10 Heat map of the differences" "settle" "screenshot $pictures/window-compare.png"
    drive "click Will it load" "wait-for 5 refuse it" "click Explore"
    passed "two files are compared, down to the values of one tensor"

    # 32 GiB of zeros that take no space: long enough to be stopped on any machine.
    large=$scratch/large.safetensors bytes=$((32 << 30))
    header="{\"weight\":{\"dtype\":\"F32\",\"shape\":[$((bytes / 4))],\"data_offsets\":[0,$bytes]}}"
    printf "\\x$(printf %02x ${#header})\\0\\0\\0\\0\\0\\0\\0%s" "$header" >"$large"
    truncate -s $((8 + ${#header} + bytes)) "$large"
    open_by_dialog "$large"
    drive "wait-for 10 weight" "click weight" "wait-for 10 Cancel all" "screenshot $pictures/window-job.png" "click Cancel all" "wait-gone 10 Cancel"
    passed "running jobs are cancelled"
else
    # Down to the first tensor of the first layer, by keyboard.
    xdotool windowfocus --sync "$window" key Down Right Down Right Down Down
    sleep 1
    import -window root "$pictures/window-explore.png"
fi

# Nothing moves and nobody touches it: no processor time may pass.
ticks() { awk '{ print $14 + $15 }' "/proc/$app/stat"; }
sleep 2
before=$(ticks)
sleep 3
after=$(ticks)
[ $((after - before)) -le 3 ] || fail "idle, yet $((after - before)) ticks of processor time in 3 s"
passed "idle costs $((after - before)) ticks in 3 s"

alive || fail "the program is gone"
[ ! -s "$scratch/stderr" ] || { echo "window: the program said:"; cat "$scratch/stderr"; }
! grep -q panicked "$scratch/stderr" || fail "a panic"
echo "window: $checks checks passed"
