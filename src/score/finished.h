// Scores that an earlier run finished: selecting among them again needs no model.
#pragma once

#include <optional>
#include <string>

#include "reflect/data/record.h"
#include "reflect/score/score_rows.h"

namespace reflect {

// A hash of all that the scores of a run depend on: version, input, model files and every setting
// but those of selection and output. Empty where it cannot be told (standard input).
std::string score_key(const ScoreConfig& config);

// The meta file of `output` where its scores have this key and both files are there; else nothing.
std::optional<Json> finished_meta(const ScoreConfig& config, const std::string& key);

}  // namespace reflect
