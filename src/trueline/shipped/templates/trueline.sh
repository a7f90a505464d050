#!/usr/bin/env bash
# The release gate in continuous integration, step by step: bash trueline.sh plan | measure | attack | gate
#
# TRUELINE_CHARTER    the charter (default: charter.yaml)        TRUELINE_PROBES     its file of probes, where it does not stand beside it
# TRUELINE_TARGET     the TARGET to decide on                    TRUELINE_BASELINE   what it replaces: a TARGET, or the folder of its evaluation
# TRUELINE_REDTEAM, TRUELINE_INHERITED   auto (where the charter requires it), true or false: attacks; the probes that every charter inherits
# TRUELINE_REDTEAM_AGREED   true: the owner of the attacked endpoint agrees (without it only local and private ones are attacked)
# TRUELINE_STRICT     true: stop where the plan says that a cap or margin cannot be resolved (default: only say so)
# TRUELINE_PLAN_OPTIONS, _EVAL_OPTIONS, _REDTEAM_OPTIONS, _GATE_OPTIONS: more options, parted by spaces
# TRUELINE_INHERITED_OPTIONS: in the place of _EVAL_OPTIONS for the inherited probes, all of which must be asked (no --limit)
# TRUELINE_OUT        folder for everything that is written (default: runs/ci)
# Keys (OPENAI_API_KEY, ANTHROPIC_API_KEY) come from the environment and are written nowhere.
#
# `gate` ends with 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID, and leaves gate.json, gate.xml (JUnit) and gate.md (Markdown) in the folder.
set -euo pipefail

out="${TRUELINE_OUT:-runs/ci}"
charter="${TRUELINE_CHARTER:-charter.yaml}"
rule=(--charter "$charter")
probes=()
if [ -n "${TRUELINE_PROBES:-}" ]; then probes=(--probes "$TRUELINE_PROBES"); fi
read -ra plan_options <<< "${TRUELINE_PLAN_OPTIONS:-}"
read -ra eval_options <<< "${TRUELINE_EVAL_OPTIONS:-}"
read -ra inherited_options <<< "${TRUELINE_INHERITED_OPTIONS-${TRUELINE_EVAL_OPTIONS:-}}"
read -ra redteam_options <<< "${TRUELINE_REDTEAM_OPTIONS:-}"
read -ra gate_options <<< "${TRUELINE_GATE_OPTIONS:-}"

target() {
  if [ -z "${TRUELINE_TARGET:-}" ]; then
    echo "error: TRUELINE_TARGET is not set, expected a TARGET, e.g. openai:MODEL@https://host/v1; set it in the project's variables" >&2
    exit 64
  fi
}

# Where the baseline's evaluation lies: the folder that was given, or the one that `measure` writes.
baseline() {
  if [ -f "${TRUELINE_BASELINE:-}/evaluation.json" ]; then echo "$TRUELINE_BASELINE"; else echo "$out/baseline"; fi
}

plan() {
  mkdir -p "$out"
  trueline check "$charter"
  local code=0
  trueline plan "$charter" ${probes[@]+"${probes[@]}"} ${plan_options[@]+"${plan_options[@]}"} --json > "$out/plan.json" || code=$?
  trueline plan "$charter" ${probes[@]+"${probes[@]}"} ${plan_options[@]+"${plan_options[@]}"} || true
  if [ "$code" -eq 2 ] && [ "${TRUELINE_STRICT:-false}" != true ]; then
    echo "note: some cap or margin cannot be resolved with these probes; the gate will most likely be INCONCLUSIVE"
    code=0
  fi
  return "$code"
}

# Whether the charter's gate requires this evidence (suite, inherited, redteam), or the setting ($2) says so.
wanted() {
  case "$2" in
    true | false) echo "$2"; return 0 ;;
    auto) ;;
    *) echo "error: got '$2' for $1, expected auto, true or false" >&2; return 64 ;;
  esac
  if [ ! -f "$out/plan.json" ]; then echo "error: no $out/plan.json; run the step plan first" >&2; return 64; fi
  python -c 'import json, sys; print(str(sys.argv[1] in json.load(open(sys.argv[2]))["require"]).lower())' "$1" "$out/plan.json"
}

measure() {
  target
  trueline eval "$TRUELINE_TARGET" "${rule[@]}" ${probes[@]+"${probes[@]}"} ${eval_options[@]+"${eval_options[@]}"} --out "$out/candidate"
  if [ -n "${TRUELINE_BASELINE:-}" ] && [ "$(baseline)" = "$out/baseline" ]; then
    trueline eval "$TRUELINE_BASELINE" "${rule[@]}" ${probes[@]+"${probes[@]}"} ${eval_options[@]+"${eval_options[@]}"} --out "$out/baseline"
  fi
  local need
  need=$(wanted inherited "${TRUELINE_INHERITED:-auto}")
  rm -f "$out/inherited/evaluation.json"
  if [ "$need" = true ]; then
    trueline eval "$TRUELINE_TARGET" "${rule[@]}" ${probes[@]+"${probes[@]}"} ${inherited_options[@]+"${inherited_options[@]}"} --suite inherited --out "$out/inherited"
  fi
}

attack() {
  local need
  need=$(wanted redteam "${TRUELINE_REDTEAM:-auto}")
  if [ "$need" != true ]; then
    rm -f "$out/redteam/evaluation.json"
    echo "no red-team run: the charter does not require one"
    return 0
  fi
  target
  if [ "${TRUELINE_REDTEAM_AGREED:-false}" = true ]; then redteam_options+=(--yes); fi
  trueline redteam "$TRUELINE_TARGET" "${rule[@]}" ${probes[@]+"${probes[@]}"} ${redteam_options[@]+"${redteam_options[@]}"} --out "$out/redteam"
}

gate() {
  local more=() code=0
  if [ -n "${TRUELINE_BASELINE:-}" ]; then more+=(--against "$(baseline)"); fi
  if [ -f "$out/redteam/evaluation.json" ]; then more+=(--redteam "$out/redteam"); fi
  if [ -f "$out/inherited/evaluation.json" ]; then more+=(--inherited "$out/inherited"); fi
  rm -f "$out/gate.json" "$out/gate.xml" "$out/gate.md"
  trueline gate "$out/candidate" "${rule[@]}" ${probes[@]+"${probes[@]}"} ${more[@]+"${more[@]}"} ${gate_options[@]+"${gate_options[@]}"} \
    --out "$out/gate.json" --junit "$out/gate.xml" --markdown "$out/gate.md" || code=$?
  if [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -f "$out/gate.md" ]; then cat "$out/gate.md" >> "$GITHUB_STEP_SUMMARY"; fi
  if [ -n "${GITHUB_OUTPUT:-}" ]; then
    local names=(PASS FAIL INCONCLUSIVE INVALID)
    local outcome=ERROR
    if [ -f "$out/gate.json" ]; then outcome="${names[$code]:-ERROR}"; fi
    echo "outcome=$outcome" >> "$GITHUB_OUTPUT"
    echo "exit-code=$code" >> "$GITHUB_OUTPUT"
  fi
  return "$code"
}

case "${1:-}" in
  plan | measure | attack | gate) "$1" ;;
  *)
    echo "error: got '${1:-}', expected plan, measure, attack or gate" >&2
    exit 64
    ;;
esac
