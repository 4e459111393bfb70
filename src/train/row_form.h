// The two forms of rows that train: a response, and a pair of a chosen and a rejected one.
#pragma once

#include <string>
#include <vector>

#include "reflect/train/training_data.h"

namespace reflect {

struct RowForm {
  std::string name;
  std::size_t examples;  // of one row, in consecutive places
  SpanWeights weights;
  // As many records as the row has examples. Throws Error, whose text starts with `where`
  // ("file:line"), for a malformed row.
  std::vector<Record> (*records_of)(const Json& row, const std::string& where);
};

// A row as a Record; a GSM8K row has no response, and what trains is its worked solution as it
// came.
RowForm response_form(const SpanWeights& weights);

// {prompt | messages | ..., chosen, rejected}: a response is text or a list of messages that ends
// with the assistant's; without a prompt both lists start with it. Every token of a response and
// its end of turn has weight 1, all else 0.
RowForm pair_form();

RowForm row_form(const TrainingDataOptions& options);

}  // namespace reflect
