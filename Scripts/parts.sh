# Runs the parts of the tests one after another, even if one fails. Scripts/test sources this file; do not run it.
# shellcheck shell=bash

# The folder for the output of each part. A script that sources this file may set another one.
logs="${logs:-$project/.build-logs}"
failed_parts=()
summaries=()
passed=0
failed=0

# The time limit of a part in seconds. It is several times what a part takes on a small machine: a part that reaches it
# does not get on at all, and its log then ends with what it waited for.
part_seconds="${part_seconds:-2400}"

# Runs a command as one part of the tests. Its output goes to a log, which is printed if the command fails. After the
# time limit the part is ended.
#
#   run_part NAME COMMAND…
run_part() {
    local name="$1" log="$logs/$1.log" code part watchdog start=$SECONDS
    shift
    mkdir -p "$logs"
    say "test: $name"
    # The command runs in a subshell with "set -e", because "set -e" has no effect on the left side of "||".
    trap - ERR
    set +e
    (
        set -e
        report_errors
        part=$BASHPID
        end_after_limit "$part" "$logs/$name.log" &
        watchdog=$!
        trap 'kill "$watchdog" 2>/dev/null || true' EXIT
        "$@"
    ) >"$log" 2>&1 </dev/null
    code=$?
    set -e
    report_errors
    count_tests "$log"
    # A part that crashed or that has no tests prints no line for its failure.
    if [[ $code -ne 0 && $part_failed -eq 0 ]]; then part_failed=1; fi
    passed=$((passed + part_passed))
    failed=$((failed + part_failed))
    summaries+=("$name: ${part_summary:-no tests} ($((SECONDS - start)) s)")
    if [[ $code -ne 0 ]]; then
        failed_parts+=("$name")
        cat "$log" >&2
        say "test: $name failed with exit code $code; its output is above and in $log"
    fi
}

# Waits for the time limit of a part, and then ends the part's processes. The log gets a list of their threads, with
# the function of the kernel in which each waits, and the names of the tests that have started but not ended.
#
#   end_after_limit PID LOG
end_after_limit() {
    local part="$1" log="$2" own=$BASHPID rest="$part_seconds" processes
    trap - EXIT ERR
    # Short sleeps: a long one would outlive the part, and keep its log open.
    while ((rest > 0)); do
        sleep 2
        kill -0 "$part" 2>/dev/null || return 0
        rest=$((rest - 2))
    done
    processes="$(descendants "$part" "$own")"
    printf '\nThe part did not end within %s seconds. Its processes and their threads:\n' "$part_seconds"
    threads "$processes"
    printf '\nTests without an end:\n'
    unfinished_tests "$log"
    # shellcheck disable=SC2086
    kill -KILL "$part" $processes 2>/dev/null || true
}

# Prints the process IDs of all descendants of a process, except for those of another one.
descendants() {
    local file line child
    for file in /proc/[0-9]*/stat; do
        # A process that has ended meanwhile has no file.
        { read -r line <"$file"; } 2>/dev/null || continue
        child="${line%% *}"
        # After the name in parentheses come the state and the parent.
        line="${line##*) }"
        line="${line#* }"
        if [[ ${line%% *} != "$1" || $child == "$2" ]]; then continue; fi
        printf '%s\n' "$child"
        descendants "$child" "$2"
    done
}

# Prints the command of each process, and of each of its threads the name, the state, and the function of the kernel in
# which it waits.
threads() {
    local process thread
    for process in $1; do
        printf '%s %s\n' "$process" "$(tr '\0' ' ' <"/proc/$process/cmdline" 2>/dev/null || true)"
        for thread in "/proc/$process/task"/*; do
            printf '    %s: %s, %s\n' "$(cat "$thread/comm" 2>/dev/null || true)" \
                "$(sed -n 's/^State:[[:space:]]*//p' "$thread/status" 2>/dev/null || true)" \
                "$(cat "$thread/wchan" 2>/dev/null || true)"
        done
    done
}

# Prints the tests of a log of Swift Testing that have started but not ended.
unfinished_tests() {
    local state='s/^[^ ]+ (Test "([^"\\]|\\.)*")( with [0-9]+ test cases)?'
    sort <(sed -n -E "$state started\..*/\1/p" "$1") <(sed -n -E "$state (passed|failed) after.*/\1/p" "$1") |
        uniq --unique
}

# Reads the last line of a test runner from a log (Swift Testing, pytest, or "N passed, N failed"). Sets part_summary,
# part_passed and part_failed.
count_tests() {
    local log="$1" total skipped=0
    part_passed=0
    part_failed=0
    part_summary="$(sed -n -E 's/^[^ ]* ?(Test run with [0-9]+ tests? .*)$/\1/p' "$log" | tail -n 1)"
    if [[ -n $part_summary ]]; then
        total="$(sed -E 's/^Test run with ([0-9]+) .*$/\1/' <<<"$part_summary")"
        skipped="$(grep --count --extended-regexp '^[^ ]+ Test .* skipped' "$log" || true)"
        part_failed="$(grep --count --extended-regexp '^[^ ]+ Test [^r].* failed after [0-9.]+ seconds' "$log" || true)"
        part_passed=$((total - skipped - part_failed))
        return
    fi
    part_summary="$(sed -n -E 's/^(=+ )?([0-9]+ (passed|failed|error)[^=]*)( =+)?$/\2/p' "$log" | tail -n 1)"
    part_passed="$(number_before passed)"
    part_failed=$(($(number_before failed) + $(number_before error)))
}

# Prints the number before a word in part_summary, or 0.
number_before() {
    local found
    found="$(sed -n -E "s/^(.*[^0-9])?([0-9]+) $1.*$/\2/p" <<<"$part_summary")"
    printf '%s\n' "${found:-0}"
}

# Prints the summary of each part and the totals. If parts failed, prints their names and fails.
end_of_parts() {
    local summary
    for summary in "${summaries[@]}"; do printf '%s\n' "$summary"; done
    if [[ ${#failed_parts[@]} -gt 0 ]]; then say "test: failed: ${failed_parts[*]}"; fi
    printf '%s passed, %s failed\n' "$passed" "$failed"
    if [[ ${#failed_parts[@]} -gt 0 ]]; then exit 1; fi
}
