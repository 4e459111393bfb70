// The job of reflect-eval: read problems, let every arm answer, grade, compare, report.
#include "reflect/evaluate/evaluate.h"

#include "evaluate/answering.h"
#include "evaluate/arms.h"
#include "evaluate/ask.h"
#include "evaluate/report.h"
#include "reflect/base/config.h"
#include "reflect/base/hash.h"
#include "reflect/base/log.h"
#include "reflect/base/outputs.h"
#include "reflect/model/runtime.h"

namespace reflect {
namespace {

constexpr std::string_view kEvaluateOp = "evaluate";

// "results.json" -> "results.rows.jsonl".
std::string path_beside(const std::string& output, std::string_view ending) {
  std::string stem = output.ends_with(".json") ? output.substr(0, output.size() - 5) : output;
  return stem.append(ending);
}

std::string rows_path(const std::string& output) {
  return path_beside(output, ".rows.jsonl");
}

// Where answers of other settings stay.
std::string others_path(const std::string& output) {
  return path_beside(output, ".other-rows.jsonl");
}

void validate(const EvaluateConfig& config) {
  validate(config.sampling);
  if (!config.ask.empty()) return;
  if (config.input.empty())
    fail_usage(kEvaluateOp, "no problems; give --input FILE, or --ask TEXT");
  if (config.output.empty() || config.output == "-") {
    fail_usage(kEvaluateOp,
               "no file for the report; give --output FILE (the table goes to the screen)");
  }
  check_outputs(kEvaluateOp,
                {{"output", config.output},
                 {"output", rows_path(config.output)},
                 {"output", others_path(config.output)}},
                {{"input", config.input}, {"train-rows", config.train_rows}});
  if (config.limit < 0)
    fail_usage(kEvaluateOp, "--limit is {}; it must be 0 (all) or more", config.limit);
  if (config.samples < 1)
    fail_usage(kEvaluateOp, "--samples is {}; it must be 1 or more", config.samples);
  if (config.samples > 1 && config.sampling.temperature == 0) {
    fail_usage(kEvaluateOp,
               "--samples {} would all be equal at temperature 0; give --sampling.temperature",
               config.samples);
  }
  if (config.bootstrap_resamples < 100) {
    fail_usage(kEvaluateOp, "--bootstrap-resamples is {}; it must be 100 or more",
               config.bootstrap_resamples);
  }
}

std::optional<Contamination> check_contamination(const EvaluateConfig& config,
                                                 const std::vector<Problem>& problems) {
  if (config.train_rows.empty()) return std::nullopt;
  Contamination found = measure_contamination(problems, config.train_rows);
  if (!found.exact.empty() && !config.allow_overlap) {
    fail(kEvaluateOp,
         "{} of {} problems are also in {}, the first: \"{}\"; split the data anew, or pass "
         "--allow-overlap",
         found.exact.size(), problems.size(), config.train_rows, found.exact.front());
  }
  return found;
}

std::vector<HashedArm> hashed_arms(const EvaluateConfig& config) {
  std::vector<HashedArm> arms;
  for (ArmConfig& arm : arms_of(config)) {
    std::string hash = arm_hash(arm, config);
    arms.push_back({std::move(arm), std::move(hash)});
  }
  return arms;
}

ArmAnswers graded_answers(const HashedArm& arm, const EvaluateConfig& config,
                          const std::vector<Problem>& problems, const AnswerStore& store) {
  const Checker checker = Checker::named(config.checker);
  ArmAnswers answers;
  answers.arm = arm.arm;
  for (const Problem& problem : problems) {
    std::vector<GradedAnswer>& samples = answers.of_problem.emplace_back();
    for (std::int64_t sample = 0; sample < config.samples; ++sample) {
      const Answer& answer = *store.find({arm.hash, problem.hash, sample});
      samples.push_back({answer, grade(answer, problem, checker, config.answer_fallback)});
    }
  }
  return answers;
}

// Every answer with its grade, for the rows file.
std::vector<Json> rows_of(const std::vector<HashedArm>& arms,
                          const std::vector<ArmAnswers>& answers,
                          const std::vector<Problem>& problems) {
  std::vector<Json> rows;
  for (std::size_t a = 0; a < arms.size(); ++a) {
    for (std::size_t p = 0; p < problems.size(); ++p) {
      const auto& samples = answers[a].of_problem[p];
      for (std::size_t sample = 0; sample < samples.size(); ++sample) {
        const Grade& grade = samples[sample].grade;
        Json row = {{"arm", arms[a].arm.name},
                    {"id", problems[p].id},
                    {"right", grade.right},
                    {"reason", grade.reason},
                    {"output", grade.output},
                    {"gold", problems[p].answer},
                    {"reflections", grade.reflections},
                    {"issues", grade.issues}};
        if (!problems[p].group.empty()) row["group"] = problems[p].group;
        row.update(
            json_of(AnswerKey{arms[a].hash, problems[p].hash, static_cast<std::int64_t>(sample)},
                    samples[sample].answer));
        rows.push_back(std::move(row));
      }
    }
  }
  return rows;
}

// The arm that "would have solved it without": the first free one that is not `final` itself.
const ArmAnswers* base_of(const std::vector<ArmAnswers>& answers, std::size_t final) {
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (i != final && !answers[i].arm.draft && !answers[i].arm.ban_reflection) return &answers[i];
  }
  return nullptr;
}

void compare(const std::vector<ArmAnswers>& answers, const std::vector<ArmConfig>& arms,
             Report& report) {
  const SummaryOptions options = {report.config.bootstrap_resamples,
                                  static_cast<std::uint64_t>(report.config.runtime.seed)};
  for (std::size_t second = 1; second < answers.size(); ++second) {
    for (std::size_t first = 0; first < second; ++first) {
      report.pairs.push_back(compare_arms(answers[first], answers[second], options));
    }
  }
  for (std::size_t draft = 0; draft < arms.size(); ++draft) {
    if (!arms[draft].draft) continue;
    const std::size_t final = free_arm_of(arms[draft], arms);
    report.drafts.push_back(compare_draft(answers[draft], answers[final], base_of(answers, final)));
  }
}

Report report_of(const EvaluateConfig& config, const std::vector<HashedArm>& arms,
                 const std::vector<ArmAnswers>& answers, const ProblemSet& set) {
  Report report;
  report.config = config;
  report.problems = static_cast<std::int64_t>(set.problems.size());
  for (const RejectedRow& row : set.rejected) ++report.rejected[row.reason];
  const SummaryOptions options = {config.bootstrap_resamples,
                                  static_cast<std::uint64_t>(config.runtime.seed)};
  std::vector<ArmConfig> configs;
  for (std::size_t a = 0; a < arms.size(); ++a) {
    configs.push_back(arms[a].arm);
    report.arms.push_back({arms[a].arm, arms[a].hash,
                           prompt_use_of(arms[a].arm, set.problems, config),
                           summarize_arm(answers[a], set.problems, options)});
  }
  compare(answers, configs, report);
  return report;
}

// With the job's other processes, which must have the same settings.
Placement meet_evaluators(const EvaluateConfig& config) {
  Placement placement = open_placement(config.placement, config.launch, config.runtime);
  EvaluateConfig copy = config;
  NamedTexts settings = texts_of(fields_of(copy));
  settings.emplace_back("the hash of all settings", content_hash(to_yaml(fields_of(copy))));
  placement.group.require_same(settings);
  return placement;
}

ExitCode evaluate_problems(const EvaluateConfig& config) {
  const std::vector<HashedArm> arms = hashed_arms(config);
  const Placement placement = meet_evaluators(config);
  if (!placement.first()) {
    help_answer(config, arms, placement);
    return ExitCode::kDone;
  }
  const ProblemSet set = read_problems(config.input, config.limit, config.group_by);
  if (!set.malformed.empty()) log_warn("{}", set.malformed);
  const auto contamination = check_contamination(config, set.problems);
  AnswerStore store(rows_path(config.output), others_path(config.output));
  answer_all(config, arms, set.problems, placement, store);

  std::vector<ArmAnswers> answers;
  for (const HashedArm& arm : arms) {
    answers.push_back(graded_answers(arm, config, set.problems, store));
  }
  Report report = report_of(config, arms, answers, set);
  report.contamination = contamination;
  if (const std::size_t others = store.replace_file(rows_of(arms, answers, set.problems)))
    log_info("{} answers of other settings or problems stay in {}; delete it to forget them",
             others, others_path(config.output));
  write_file_atomic(config.output, json_of(report).dump(2) + "\n");
  fmt::print("{}", text_of(report));
  return ExitCode::kDone;
}

}  // namespace

ExitCode evaluate(const EvaluateConfig& config) {
  validate(config);
  if (!config.ask.empty()) return answer_question(config);
  EvaluateConfig resolved = config;
  resolved.runtime.dtype = name_of_dtype(start_runtime(config.runtime).dtype);
  return evaluate_problems(resolved);
}

}  // namespace reflect
