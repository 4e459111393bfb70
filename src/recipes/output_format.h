// Accepted rows as lines of the output, in the form that its reader expects.
#pragma once

#include <string>
#include <vector>

#include "recipes/task.h"

namespace reflect {

enum class OutputFormat { kRecords, kOpenAiMessages, kAlpaca, kShareGpt, kPromptResponse, kDpo };

// "records", "openai-messages", ...; Error (usage) for another name.
OutputFormat output_format_named(const std::string& name);

// Ends an accepted row as not used where it has no line in the format: `several_turns` where there
// is no place for earlier turns, `no_mistake` and `no_flawed_way` for pairs. Else notes what its
// line needs. A function of the row alone, so that the rows of a run do not depend on timing.
void fit_to(OutputFormat format, TraceRow& row);

// The line of a row that fits, without its end; `record` is the row's. docs/generation.md lists the
// fields. Throws Json::exception for text that is not valid UTF-8.
std::string line_of(OutputFormat format, const TraceRow& row, const Record& record);

}  // namespace reflect
