// Names of gates and decisions, and which gate a decision belongs to.
#include <array>

#include "reflect/score/select.h"

namespace reflect {

namespace {

struct DecisionText {
  std::string_view reason;
  Gate gate;
};

// In the order of Decision; kKept has no gate.
constexpr std::array<DecisionText, kDecisions> kTexts = {{
    {"kept", Gate::kPrefilter},
    {"prefiltered", Gate::kPrefilter},
    {"too_long", Gate::kStatus},
    {"empty", Gate::kStatus},
    {"non_finite", Gate::kStatus},
    {"wrong_answer", Gate::kCorrectness},
    {"incomplete_group", Gate::kChoice},
    {"not_chosen", Gate::kChoice},
    {"not_reflected", Gate::kChoice},
    {"low_ifd", Gate::kIfd},
    {"high_ifd", Gate::kIfd},
    {"high_rifd", Gate::kRifd},
    {"low_gain", Gate::kGain},
    {"short_response", Gate::kLength},
    {"long_response", Gate::kLength},
    {"duplicate", Gate::kExactDuplicates},
    {"near_duplicate", Gate::kNearDuplicates},
    {"contaminated", Gate::kDecontamination},
    {"below_top", Gate::kTop},
    {"not_diverse", Gate::kDiversity},
}};

constexpr std::array<std::string_view, kGates> kGateNames = {
    "prefilter",       "status",    "correctness", "choice",           "ifd",
    "r-ifd",           "span gain", "length",      "exact duplicates", "near duplicates",
    "decontamination", "top",       "diversity"};

}  // namespace

std::string_view reason_of(Decision decision) {
  return kTexts[static_cast<std::size_t>(decision)].reason;
}

Gate gate_of(Decision decision) {
  return kTexts[static_cast<std::size_t>(decision)].gate;
}

std::string_view name_of(Gate gate) {
  return kGateNames[static_cast<std::size_t>(gate)];
}

}  // namespace reflect
