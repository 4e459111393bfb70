// Numbers in rows that the order of training depends on, named by their path ("scores.ifd_ppl").
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "reflect/train/training_data.h"

namespace reflect {

// The number at a dotted path of a JSON object; nothing where there is none.
std::optional<double> number_at(const Json& row, std::string_view path);
// The same in the row that the record came from. "ifd" and "rifd" are scores.ifd_ppl and
// scores.rifd_ppl.
std::optional<double> number_of(const Record& record, std::string_view path);

// The traits that the options ask for, item by item.
class TraitReader {
 public:
  explicit TraitReader(const TrainingDataOptions& options) : options_(options) {}

  // Appends the traits of an item of file `file` with `tokens` tokens, where `number` gives the
  // number of a path; else returns why it cannot be ordered and appends nothing.
  template <class Number>
  std::string add(std::int32_t file, std::int64_t tokens, const Number& number,
                  RowTraits& traits) const {
    std::optional<double> weight, difficulty;
    if (!options_.weight_by.empty()) {
      weight = number(options_.weight_by);
      if (!weight) return "no_weight";
      if (*weight < 0) return "negative_weight";
    }
    if (!options_.curriculum_by.empty()) {
      difficulty = options_.curriculum_by == "tokens" ? std::optional(static_cast<double>(tokens))
                                                      : number(options_.curriculum_by);
      if (!difficulty) return "no_place_in_curriculum";
    }
    if (options_.by_file) traits.file.push_back(file);
    if (weight) traits.weight.push_back(*weight);
    if (difficulty) traits.difficulty.push_back(*difficulty);
    return "";
  }

 private:
  const TrainingDataOptions& options_;
};

}  // namespace reflect
