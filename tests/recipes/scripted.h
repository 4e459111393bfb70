// Runs one problem through a recipe with replies from a function in the place of models.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "recipes/pipeline.h"
#include "recipes/source.h"
#include "temp_folder.h"

namespace reflect {

using Script = std::function<TeacherReply(const TeacherRequest&)>;

inline TeacherReply text_reply(std::string text) {
  TeacherReply reply;
  reply.text = std::move(text);
  return reply;
}

struct ScriptedRun {
  std::vector<TraceRow> rows;
  std::vector<TeacherRequest> requests;  // in the order of asking
};

inline ScriptedRun run_scripted(const Recipe& recipe, const TeacherTable& teachers,
                                const std::string& row, const Script& script,
                                std::uint64_t attempt = 0) {
  Pipeline pipeline(recipe, 1, teachers);
  ScriptedRun result;
  RowRuns runs;
  runs.push_back(pipeline.start(
      std::make_shared<const SourceTask>(task_of(Json::parse(row), "rows:1")), attempt));
  std::vector<RowRun*> waiting = pipeline.advance(runs, runs.begin());
  while (!waiting.empty()) {
    RowRun* run = waiting.front();
    waiting.erase(waiting.begin());
    for (std::size_t i = 0; i < run->requests.size(); ++i) {
      result.requests.push_back(run->requests[i]);
      run->replies[i] = script(run->requests[i]);
    }
    auto at = runs.begin();
    while (&*at != run) ++at;
    for (RowRun* more : pipeline.advance(runs, at)) waiting.push_back(more);
  }
  for (RowRun& run : runs) result.rows.push_back(std::move(run.row));
  return result;
}

// A run with one model that is asked for everything.
inline TeacherTable one_model() {
  TeacherConfig config;
  config.kind = "openai";
  return TeacherTable({config});
}

inline const char* const kPens =
    R"j({"prompt": "A pen costs 3 and paper 5. What do 4 pens and the paper cost?", "answer": "17"})j";

inline Recipe recipe_of(const std::string& steps) {
  const TempFolder folder;
  write_file_atomic(folder / "mine.yaml", "teachers: [openai]\n" + steps);
  return load_recipe(folder / "mine.yaml");
}

inline bool asks(const TeacherRequest& request, const std::string& part) {
  return request.messages.back().content.find(part) != std::string::npos;
}

// Replies by a part of the prompt; the first that fits.
inline Script script_of(std::vector<std::pair<std::string, std::string>> replies) {
  return [replies = std::move(replies)](const TeacherRequest& request) {
    for (const auto& [part, reply] : replies) {
      if (asks(request, part)) return text_reply(reply);
    }
    FAIL("not expected: " << request.messages.back().content);
    return TeacherReply();
  };
}

inline TraceRow only_row(const std::string& steps, const Script& script) {
  ScriptedRun run = run_scripted(recipe_of(steps), one_model(), kPens, script);
  REQUIRE(run.rows.size() == 1);
  return run.rows[0];
}

}  // namespace reflect
