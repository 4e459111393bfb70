// Of which kind mistakes are, where in a solution they stand, and when they are noticed: measured
// from recorded mistakes, wanted of injected ones, or found in a run's own output.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reflect/data/record.h"

namespace reflect {

// Step `index` of the `steps` of a solution.
struct StepPlace {
  std::size_t index;
  std::size_t steps;
};

struct ErrorProfile {
  // Shares of a solution's length. Step i of n lies in [i / n, (i + 1) / n) and counts for each
  // part by the share of the step that lies there.
  static constexpr std::size_t kParts = 10;

  std::int64_t mistakes = 0;
  std::map<std::string, double> kinds;     // weights by name; mistakes whose kind is not told: none
  std::array<double, kParts> positions{};  // weights; all 0: not known
  std::vector<double> notice_after;        // weights of noticing after 0, 1, 2, ... further steps

  // Counts one mistake; what is not known of it is left out.
  void add(const std::string& kind, const std::optional<StepPlace>& place,
           const std::optional<std::size_t>& noticed_after);
  // Mistakes whose kind is told.
  double told() const;
  // The weight of step `index` of `steps`, by its share of the parts; 1 / steps without positions.
  double weight_of(const StepPlace& place) const;
};

// Shares of 1 with six digits, and the number of mistakes; what was never known is left out.
Json json_of(const ErrorProfile& profile);

// The same as it was counted, from which counting goes on.
Json weights_of(const ErrorProfile& profile);

// Reads what json_of writes, or weights written by hand: {"kinds": {name: weight}, "positions": [10
// weights], "notice_after": [weights]}. Error (usage) that names the file and what is wrong.
ErrorProfile read_error_profile(const std::string& path);
ErrorProfile profile_of(const Json& json, const std::string& where);

// The distribution of each part beside the wanted one, as lines of a table; nothing where no
// mistake was counted. `wanted` may be null.
struct ProfileLine {
  std::string name;  // "wrong_result", "at 10-20 %", "noticed after 1"
  double own;        // share of 1
  std::optional<double> wanted;
};
std::vector<ProfileLine> compare(const ErrorProfile& own, const ErrorProfile* wanted);

}  // namespace reflect
