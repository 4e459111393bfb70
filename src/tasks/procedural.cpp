#include "reflect/tasks/procedural.h"

#include <charconv>
#include <functional>

#include "reflect/base/config.h"
#include "reflect/base/error.h"
#include "tasks/families.h"

namespace reflect {
namespace {

struct Maker {
  const char* name;
  std::unique_ptr<Family> (*make)(const ProceduralConfig&);
};

constexpr Maker kMakers[] = {
    {"graph", [](const ProceduralConfig& config) { return make_graph_family(config.graph); }},
    {"arithmetic", [](const ProceduralConfig&) { return make_arithmetic_family(); }},
    {"words", [](const ProceduralConfig&) { return make_words_family(); }},
    {"units", [](const ProceduralConfig&) { return make_units_family(); }},
    {"sorting", [](const ProceduralConfig&) { return make_sorting_family(); }},
};

// "4" or "6-8" appended as numbers.
void add_range(const std::string& text, std::vector<int>& numbers) {
  int low = 0;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, low);
  int high = low;
  const bool is_range = first.ec == std::errc() && first.ptr != end && *first.ptr == '-';
  const auto last = is_range ? std::from_chars(first.ptr + 1, end, high) : first;
  if (first.ec != std::errc() || last.ec != std::errc() || last.ptr != end || low < 1 ||
      high < low || high > 1000) {
    fail_usage("procedural.operations", "'{}' is neither a number from 1 nor a range like 4-8",
               text);
  }
  for (int number = low; number <= high; ++number) numbers.push_back(number);
}

}  // namespace

std::unique_ptr<Family> make_family(const std::string& name, const ProceduralConfig& config) {
  for (const Maker& maker : kMakers) {
    if (name == maker.name) return maker.make(config);
  }
  std::string known;
  for (const std::string& each : family_names()) known += (known.empty() ? "" : ", ") + each;
  const std::string nearest = nearest_name(name, family_names());
  fail_usage("procedural.family", "unknown family '{}'{}; known: {}", name,
             nearest.empty() ? "" : ", did you mean '" + nearest + "'?", known);
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const Maker& maker : kMakers) names.emplace_back(maker.name);
  return names;
}

ProblemGenerator::ProblemGenerator(const ProceduralConfig& config, std::uint64_t seed)
    : seed_(seed) {
  for (const std::string& name : config.family) families_.push_back(make_family(name, config));
  for (const std::string& text : config.operations) add_range(text, operations_);
  if (families_.empty()) fail_usage("procedural.family", "no family is named");
  if (operations_.empty()) fail_usage("procedural.operations", "no number of steps is given");
  for (const auto& family : families_) {
    for (const int operations : operations_) {
      if (operations > family->max_operations()) {
        fail_usage("procedural.operations",
                   "the family {} makes at most {} steps, {} are asked for", family->name(),
                   family->max_operations(), operations);
      }
    }
  }
}

const Family& ProblemGenerator::family_of(std::size_t index) const {
  return *families_[index % families_.size()];
}

int ProblemGenerator::operations_of(std::size_t index) const {
  return operations_[(index / families_.size()) % operations_.size()];
}

Program ProblemGenerator::make(std::size_t index) const {
  const Family& family = family_of(index);
  const int operations = operations_of(index);
  Random random(seed_, family.name(), {static_cast<std::uint64_t>(operations), index});
  return family.make(random, operations);
}

}  // namespace reflect
