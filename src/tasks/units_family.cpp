// Unit conversion: a mixed quantity ("2 weeks, 3 days and 4 hours") down to its smallest unit, or a
// number of small units up to a large one.
#include <algorithm>
#include <array>
#include <span>

#include "tasks/equation_family.h"
#include "tasks/families.h"

namespace reflect {
namespace {

// A unit and how many of the next smaller one it holds (0: the smallest).
struct Unit {
  const char* plural;
  std::int64_t holds;
};

constexpr std::array kTime = {Unit{"weeks", 7}, Unit{"days", 24}, Unit{"hours", 60},
                              Unit{"minutes", 60}, Unit{"seconds", 0}};
constexpr std::array kLength = {Unit{"kilometres", 1000}, Unit{"metres", 100},
                                Unit{"centimetres", 10}, Unit{"millimetres", 0}};
constexpr std::array kMass = {Unit{"tonnes", 1000}, Unit{"kilograms", 1000}, Unit{"grams", 1000},
                              Unit{"milligrams", 0}};
constexpr std::array kImperial = {Unit{"miles", 1760}, Unit{"yards", 3}, Unit{"feet", 12},
                                  Unit{"inches", 0}};
constexpr std::array kVolume = {Unit{"gallons", 4}, Unit{"quarts", 2}, Unit{"pints", 2},
                                Unit{"cups", 0}};
constexpr std::array<std::span<const Unit>, 5> kScales = {kTime, kLength, kMass, kImperial,
                                                          kVolume};

constexpr double kUpwardShare = 0.3;

// Builds the chain of steps: each works on the result of the one before.
class UnitChain {
 public:
  UnitChain(Program& program, std::int64_t start, std::size_t numbers)
      : program_(program), numbers_(numbers), value_(start) {
    add_given(start);
  }

  void step(Operation operation, std::int64_t number, const std::string& before,
            const std::string& unit) {
    const std::size_t last = program_.steps.empty() ? 0 : numbers_ + program_.steps.size() - 1;
    add_given(number);
    program_.steps.push_back(
        {operation, {last, program_.given.size() - 1}, before, " " + unit + "."});
    names_.push_back("The number of " + unit);
    value_ = apply(operation, {value_, {}}, {number, {}})->number;
  }

  // Names of the computed quantities follow those of the given numbers.
  std::int64_t finish() {
    program_.names.insert(program_.names.end(), names_.begin(), names_.end());
    return value_;
  }

 private:
  void add_given(std::int64_t number) {
    program_.given.push_back({number, {}});
    program_.names.emplace_back();
  }

  Program& program_;
  std::size_t numbers_;  // given numbers in the end
  std::int64_t value_;
  std::vector<std::string> names_;
};

std::string joined(const std::vector<std::string>& parts) {
  std::string text = parts[0];
  for (std::size_t i = 1; i < parts.size(); ++i) {
    text += (i + 1 == parts.size() ? " and " : ", ") + parts[i];
  }
  return text;
}

// `additions` of the levels below the first one carry a number of their own.
void make_downward(Random& random, std::span<const Unit> units, std::size_t conversions,
                   std::size_t additions, Program& program) {
  const std::size_t top = random.below(units.size() - conversions);
  std::vector<std::size_t> levels;
  for (std::size_t i = 1; i <= conversions; ++i) levels.push_back(top + i);
  random.shuffle(levels);
  std::vector<bool> adds(units.size(), false);
  for (std::size_t i = 0; i < additions; ++i) adds[levels[i]] = true;

  const std::int64_t start = random.between(2, 9);
  std::vector<std::string> parts = {std::to_string(start) + " " + units[top].plural};
  UnitChain chain(program, start, 1 + conversions + additions);
  for (std::size_t level = top + 1; level <= top + conversions; ++level) {
    const std::string unit = units[level].plural;
    chain.step(Operation::kMultiply, units[level - 1].holds, "In " + unit + ": ", unit);
    if (!adds[level]) continue;
    const std::int64_t most = std::min<std::int64_t>(units[level - 1].holds - 1, 59);
    const std::int64_t extra = random.between(2, std::max<std::int64_t>(most, 2));
    parts.push_back(std::to_string(extra) + " " + unit);
    chain.step(Operation::kAdd, extra, "With the " + std::to_string(extra) + " " + unit + ": ",
               unit);
  }
  program.prompt =
      "How many " + std::string(units[top + conversions].plural) + " are " + joined(parts) + "?";
  program.answer = std::to_string(chain.finish());
}

void make_upward(Random& random, std::span<const Unit> units, std::size_t conversions,
                 Program& program) {
  const std::size_t bottom = conversions + random.below(units.size() - conversions);
  std::int64_t start = random.between(2, 30);
  for (std::size_t i = 1; i <= conversions; ++i) start *= units[bottom - i].holds;
  UnitChain chain(program, start, 1 + conversions);
  for (std::size_t i = 1; i <= conversions; ++i) {
    const Unit& unit = units[bottom - i];
    chain.step(Operation::kDivide, unit.holds, std::string("In ") + unit.plural + ": ",
               unit.plural);
  }
  program.prompt = std::string("How many ") + units[bottom - conversions].plural + " are " +
                   std::to_string(start) + " " + units[bottom].plural + "?";
  program.answer = std::to_string(chain.finish());
}

class UnitsFamily : public EquationFamily {
 public:
  std::string_view name() const override { return "units"; }
  int max_operations() const override { return 2 * (static_cast<int>(kTime.size()) - 1); }

  // K steps are c conversions and K - c additions of at most one a level.
  Program make(Random& random, int operations) const override {
    const std::size_t steps = static_cast<std::size_t>(operations);
    const std::size_t fewest = (steps + 1) / 2;
    std::vector<std::span<const Unit>> scales;
    for (const auto& scale : kScales) {
      if (scale.size() > fewest) scales.push_back(scale);
    }
    const std::span<const Unit> units = scales[random.below(scales.size())];
    Program program;
    program.family = "units";
    if (steps < units.size() && random.chance(kUpwardShare)) {
      make_upward(random, units, steps, program);
    } else {
      const std::size_t most = std::min(steps, units.size() - 1);
      const std::size_t conversions = fewest + random.below(most - fewest + 1);
      make_downward(random, units, conversions, steps - conversions, program);
    }
    return program;
  }
};

}  // namespace

std::unique_ptr<Family> make_units_family() {
  return std::make_unique<UnitsFamily>();
}

}  // namespace reflect
