# Runs the parts of the tests one after another, even if one fails. Scripts/test sources this file; do not run it.
# shellcheck shell=bash

# The folder for the output of each part. A script that sources this file may set another one.
logs="${logs:-$project/.build-logs}"
failed_parts=()
summaries=()
passed=0
failed=0

# Runs a command as one part of the tests. Its output goes to a log, which is printed if the command fails.
#
#   run_part NAME COMMAND…
run_part() {
    local name="$1" log="$logs/$1.log" code start=$SECONDS
    shift
    mkdir -p "$logs"
    say "test: $name"
    # The command runs in a subshell with "set -e", because "set -e" has no effect on the left side of "||".
    trap - ERR
    set +e
    (
        set -e
        report_errors
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
