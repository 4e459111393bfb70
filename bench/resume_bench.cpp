// Makes a run folder as reflect-gen leaves one behind: N problems in problems.jsonl and the stored
// reply to each but the last ten, asked by recipe.yaml. bench/resume_bench.sh runs reflect-gen on
// it.
//
//   resume_bench FOLDER N
#include <cstdio>
#include <cstdlib>

#include "recipes/pipeline.h"
#include "recipes/run_store.h"
#include "recipes/source.h"
#include "recipes/teacher_job.h"
#include "reflect/base/error.h"

using namespace reflect;

namespace {

constexpr std::size_t kRepliesOfTransaction = 10000;
constexpr std::size_t kUnanswered = 10;

const char* const kRecipe =
    "teachers: [openai]\n"
    "steps:\n"
    "  - ask: {prompt: \"{{problem}}\", tags: [output], into: told}\n"
    "  - check: {field: output}\n"
    "  - assemble: {response: \"{{told}}\"}\n";

// About 1 KB of text with a number of its own.
std::string reply_to(std::size_t problem) {
  std::string text;
  for (int line = 0; line < 14; ++line) {
    text += fmt::format("Step {} of problem {}: what was said before gives {} and so on we go.\n",
                        line, problem, problem + static_cast<std::size_t>(line));
  }
  return text + fmt::format("<output>{}</output>", problem);
}

void make_folder_of_run(const std::string& folder, std::size_t problems) {
  make_folder(folder + "/rows.run");
  write_file_atomic(folder + "/recipe.yaml", kRecipe);
  std::string lines;
  for (std::size_t i = 0; i < problems; ++i) {
    lines += Json{{"prompt", fmt::format("Problem {}: which number is meant?", i)},
                  {"answer", std::to_string(i)}}
                 .dump() +
             "\n";
  }
  write_file_atomic(folder + "/problems.jsonl", lines);

  TeacherConfig teacher;
  teacher.kind = "openai";
  teacher.model = "none";
  teacher.endpoint.url = "http://127.0.0.1:9/v1";
  teacher.endpoint.key_env = "";
  const Recipe recipe = load_recipe(folder + "/recipe.yaml");
  const TeacherTable teachers({teacher});
  TeacherJob job(SynthesizeConfig(), recipe, teachers);
  const std::string identity = job.open(teacher)->identity();
  Pipeline pipeline(recipe, static_cast<std::uint64_t>(RuntimeConfig().seed), teachers);
  FileSource source(folder + "/problems.jsonl", SplitConfig());
  RunStore store(folder + "/rows.run/replies.sqlite");
  std::vector<StoredReply> replies;
  for (std::size_t i = 0; i + kUnanswered < problems; ++i) {
    auto task = std::make_shared<const SourceTask>(*source.next());
    RowRuns rows;
    rows.push_back(pipeline.start(task));
    for (RowRun* row : pipeline.advance(rows, rows.begin())) {
      StoredReply& stored = replies.emplace_back();
      stored.request = key_of(identity, row->requests.at(0));
      stored.step = "0:ask";
      stored.problem = task->problem.id;
      stored.reply.text = reply_to(i);
      stored.reply.prompt_tokens = 20;
      stored.reply.completion_tokens = 250;
    }
    if (replies.size() == kRepliesOfTransaction || i + kUnanswered + 1 == problems) {
      store.add(replies);
      replies.clear();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: resume_bench FOLDER N\n");
    return 2;
  }
  try {
    make_folder_of_run(argv[1], static_cast<std::size_t>(std::atoll(argv[2])));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
