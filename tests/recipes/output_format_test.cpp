// Lines of the output in every form: they read back to the same row, and the flawed half of a pair
// goes on from the mistake to a wrong answer, computed from what is wrong.
#include "recipes/output_format.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "recipes/pipeline.h"
#include "recipes/source.h"
#include "recipes/trace_output.h"
#include "reflect/base/error.h"

using namespace reflect;

namespace {

std::vector<TraceRow> rows_of(const std::string& recipe, const SourceTask& task,
                              const RecipeSettings& settings = {}) {
  const Recipe loaded = load_recipe(recipe, settings);
  const TeacherTable teachers;
  return Pipeline(loaded, 1, teachers).run(std::make_shared<const SourceTask>(task));
}

const Json kSlip = {{"prompt", "What is 3 * 4 + 5 - 2?"},
                    {"answer", "15"},
                    {"gold", "kept"},
                    {"response", "3 * 4 = 12\n12 + 5 = 18\n18 - 2 = 16\nA: 16"}};

// The problem knows its own solution, so that the slip can be mended.
TraceRow slip_row(Json messages = nullptr) {
  SourceTask task = task_of(kSlip, "rows:1");
  task.gold_steps = {"3 * 4 = 12", "12 + 5 = 17", "17 - 2 = 15"};
  if (!messages.is_null()) {
    task.problem = record_of({{"messages", messages}, {"answer", "15"}}, "rows:1");
  }
  TraceRow row = rows_of("split", task).at(0);
  REQUIRE(row.fate == Fate::kAccepted);
  return row;
}

RunLineage lineage(const std::string& system_prompt) {
  Recipe recipe;
  recipe.name = "split";
  recipe.system_prompt = system_prompt;
  return RunLineage(recipe, SynthesizeConfig());
}

Json line_in(const std::string& format, TraceRow row, const RunLineage& run = lineage("Think.")) {
  fit_to(output_format_named(format), row);
  REQUIRE(row.fate == Fate::kAccepted);
  return Json::parse(line_of(output_format_named(format), row, record_of(row, run)));
}

std::vector<std::string> keys_of(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& [name, value] : json.items()) keys.push_back(name);
  return keys;
}

}  // namespace

TEST_CASE("a line in any form for single responses reads back to the same row") {
  const TraceRow row = slip_row();
  const std::map<std::string, std::vector<std::string>> keys = {
      {"openai-messages", {"messages"}},
      {"sharegpt", {"conversations"}},
      {"alpaca", {"system", "instruction", "input", "output"}},
      {"prompt-response", {"system", "prompt", "response"}}};
  for (const std::string system : {"Think.", ""}) {
    const RunLineage run = lineage(system);
    const Record record = record_of(row, run);
    for (const auto& [format, expected] : keys) {
      INFO(format);
      const Json line = line_in(format, row, run);
      std::vector<std::string> known = expected;
      if (system.empty()) std::erase(known, "system");
      CHECK(keys_of(line) == known);
      const Record read = record_of(line, "line:1");
      CHECK(content_id(read) == record.id);
      CHECK(read.response == row.response);
    }
    CHECK(line_in("records", row, run) == json_of(record));
  }
}

TEST_CASE("rows of several turns are written where there is a place for them") {
  const TraceRow row = slip_row(Json::array({{{"role", "user"}, {"content", "Hello."}},
                                             {{"role", "assistant"}, {"content", "Hello!"}},
                                             {{"role", "user"}, {"content", "3 * 4 + 5 - 2?"}}}));
  for (const char* format : {"openai-messages", "sharegpt"}) {
    const Record read = record_of(line_in(format, row), "line:1");
    CHECK(read.messages.size() == 4);
    CHECK(read.id == record_of(row, lineage("Think.")).id);
  }
  CHECK(line_in("dpo", row)["prompt"].size() == 4);
  for (const char* format : {"alpaca", "prompt-response"}) {
    TraceRow without_place = row;
    fit_to(output_format_named(format), without_place);
    CHECK(without_place.fate == Fate::kNotUsed);
    CHECK(without_place.reason == "several_turns");
  }
}

TEST_CASE("the rejected half of a recorded mistake is the solution as it was written") {
  const Json line = line_in("dpo", slip_row());
  CHECK(keys_of(line) == std::vector<std::string>{"prompt", "chosen", "rejected"});
  CHECK(line["prompt"] == Json::array({{{"role", "system"}, {"content", "Think."}},
                                       {{"role", "user"}, {"content", kSlip["prompt"]}}}));
  CHECK(line["rejected"][0]["content"] ==
        "<thinking>\n3 * 4 = 12\n12 + 5 = 18\n18 - 2 = 16\n</thinking>\n<output>16</output>");
  const std::string chosen = line["chosen"][0]["content"];
  CHECK(chosen.starts_with("<thinking>\n3 * 4 = 12\n12 + 5 = 18\n<reflection>"));
  CHECK(chosen.ends_with("<output>15</output>"));
}

TEST_CASE("rows that make no pair are not used, with the reason") {
  const auto reason = [](TraceRow row) {
    fit_to(OutputFormat::kDpo, row);
    CHECK(row.fate == Fate::kNotUsed);
    return row.reason;
  };
  TraceRow row = slip_row();
  row.solution.output = "15";
  CHECK(reason(row) == "no_flawed_way");
  row.errors.clear();
  CHECK(reason(row) == "no_mistake");
  CHECK_THROWS_AS(output_format_named("csv"), Error);
}

TEST_CASE("the rejected half of an injected mistake follows from it to a wrong answer") {
  for (const std::string family : {"graph", "arithmetic", "words", "units", "sorting"}) {
    ProceduralConfig config;
    config.family = {family};
    config.operations = {"4-6"};
    ProceduralSource source(config, 3, 150);
    int pairs = 0, too_early = 0;
    while (const auto task = source.next()) {
      if (!task->refused.empty()) continue;
      TraceRow row = rows_of("inject", *task, {{"q", "0.4"}, {"max_too_early", "1"}}).at(0);
      REQUIRE(row.fate == Fate::kAccepted);
      TraceRow fitted = row;
      fit_to(OutputFormat::kDpo, fitted);
      if (row.errors.empty()) {
        CHECK(fitted.reason == "no_mistake");
        continue;
      }
      if (fitted.fate != Fate::kAccepted) {
        CHECK(fitted.reason == "no_flawed_way");
        ++too_early;
        continue;
      }
      ++pairs;
      INFO(row.response << "\n--\n" << fitted.flawed);
      const Trace flawed = parse_trace(fitted.flawed);
      REQUIRE(flawed.ok());
      CHECK(flawed.output != task->program->answer);
      // Both halves are one text up to the end of a mistake that only one of them notices.
      const auto apart = static_cast<std::size_t>(
          std::ranges::mismatch(row.response, fitted.flawed).in1 - row.response.begin());
      const bool parts_after_a_mistake = std::ranges::any_of(row.spans, [&](const Span& span) {
        return span.type == SpanType::kReflection && apart + 12 >= span.begin && apart < span.end;
      });
      CHECK(parts_after_a_mistake);
      CHECK(flawed.reflections() < parse_trace(row.response).reflections());
      // Every line after it is computed rightly from what stands there before.
      KnownValues believed(task->program->quantities());
      std::ranges::copy(task->program->given, believed.begin());
      std::size_t at = 0;
      while (at < fitted.flawed.size()) {
        const std::size_t end = std::min(fitted.flawed.find('\n', at), fitted.flawed.size());
        const auto done = task->family->read(*task->program, fitted.flawed.substr(at, end - at));
        if (done && at > apart) {
          CHECK(*done == carry_out(*task->program, done->step, believed));
        }
        if (done && done->result) {
          believed[task->program->quantity_of(done->step)] = done->result;
        }
        at = end + 1;
      }
      REQUIRE(believed.back());
      if (family != "sorting") CHECK(std::to_string(believed.back()->number) == flawed.output);
    }
    INFO(family << ": " << pairs << " pairs, " << too_early << " without");
    CHECK((pairs > 60) == (family != "graph"));
    if (family == "graph") CHECK(too_early > 60);  // what nobody can compute leads nowhere
  }
}
