#include "evaluate/answering.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "evaluate/arms.h"
#include "reflect/base/random.h"
#include "reflect/data/tag_tokens.h"
#include "reflect/generate/team.h"
#include "reflect/metrics/progress.h"

namespace reflect {
namespace {

constexpr std::string_view kReflection = "<reflection>";
constexpr std::string_view kEndOfOutput = "</output>";

// An answer that is to be generated; a draft goes on from what it has `begun` with.
struct Task {
  std::size_t problem;
  AnswerKey key;
  std::string begun;
};

class Answering {
 public:
  Answering(const EvaluateConfig& config, const std::vector<HashedArm>& arms,
            const std::vector<Problem>& problems, const Placement& placement, AnswerStore* store)
      : config_(config),
        arms_(arms),
        problems_(problems),
        placement_(placement),
        group_(placement.group),
        store_(store) {
    if (placement.device) runtime_.device = *placement.device;
  }

  // Of the first rank, which has the store and the problems.
  void run() {
    for (const std::size_t arm : order()) {
      std::vector<Task> tasks = arms_[arm].arm.draft ? draft_tasks(arm) : free_tasks(arm);
      group_.wait_for_all();
      if (group_.max(tasks.empty() ? 0 : 1) > 0) generate(arms_[arm].arm, tasks);
    }
  }

  // Of the others.
  void help() {
    for (const std::size_t arm : order()) {
      group_.wait_for_all();
      if (group_.max(0) == 0) continue;
      const Decoder decoder(*this, arms_[arm].arm);
      Team(group_, {&decoder.engine}).serve();
    }
  }

 private:
  // An arm's model with its adapter.
  struct Decoder {
    Decoder(Answering& answering, const ArmConfig& arm)
        : model(answering.model_of(arm)),
          adapter(arm.adapter.empty()
                      ? std::nullopt
                      : std::optional(read_adapter(arm.adapter, model.llama->config(),
                                                   model.llama->runtime().device))),
          engine(*model.llama, *model.tokenizer, answering.config_.engine,
                 adapter ? &*adapter : nullptr) {}
    const ChatModel& model;
    std::optional<Adapter> adapter;
    Engine engine;
  };

  // Arms of one model together, drafts after the free arms that they cut.
  std::vector<std::size_t> order() const {
    const auto first_of_model = [&](std::size_t arm) {
      std::size_t first = 0;
      while (arms_[first].arm.model != arms_[arm].arm.model) ++first;
      return first;
    };
    std::vector<std::size_t> order(arms_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(first_of_model(a), arms_[a].arm.draft) <
             std::pair(first_of_model(b), arms_[b].arm.draft);
    });
    return order;
  }

  AnswerKey key_of(std::size_t arm, const Problem& problem, std::int64_t sample) const {
    return {arms_[arm].hash, problem.hash, sample};
  }

  std::vector<Task> free_tasks(std::size_t arm) const {
    std::vector<Task> tasks;
    for (std::size_t p = 0; p < problems_.size(); ++p) {
      for (std::int64_t sample = 0; sample < config_.samples; ++sample) {
        const AnswerKey key = key_of(arm, problems_[p], sample);
        if (store_->find(key) == nullptr) tasks.push_back({p, key, ""});
      }
    }
    return tasks;
  }

  // An answer without a reflection is its own draft.
  std::vector<Task> draft_tasks(std::size_t arm) {
    std::vector<ArmConfig> configs;
    for (const HashedArm& hashed : arms_) configs.push_back(hashed.arm);
    const std::size_t free_arm = free_arm_of(arms_[arm].arm, configs);
    std::vector<Task> tasks;
    for (Task& task : free_tasks(arm)) {
      const Answer& whole =
          *store_->find(key_of(free_arm, problems_[task.problem], task.key.sample));
      if (auto begun = forced_draft(whole.response)) {
        tasks.push_back({task.problem, task.key, std::move(*begun)});
      } else {
        store_->add(task.key, whole);
      }
    }
    return tasks;
  }

  void generate(const ArmConfig& arm, const std::vector<Task>& tasks) {
    const Decoder decoder(*this, arm);
    const ChatModel& model = decoder.model;
    std::vector<GenerateRequest> requests;
    for (const Task& task : tasks) requests.push_back(request_of_task(model, arm, task));
    const auto total = static_cast<std::int64_t>(problems_.size()) * config_.samples;
    std::int64_t done = total - static_cast<std::int64_t>(tasks.size());
    Progress progress(arm.name, "answers", total, config_.runtime.quiet);
    Team team(group_, {&decoder.engine});
    team.generate(requests, [&](std::size_t i, const Completion& completion) {
      store_->add(tasks[i].key, answer_of(model, arm, tasks[i], requests[i], completion));
      progress.update(++done);
    });
    team.dismiss();
    progress.finish();
  }

  GenerateRequest request_of_task(const ChatModel& model, const ArmConfig& arm,
                                  const Task& task) const {
    const Problem& problem = problems_[task.problem];
    const auto messages = messages_of(problem.messages, arm, config_);
    GenerateRequest request = request_of(model, arm, messages, config_);
    request.seed = random_key(config_.runtime.seed, "evaluate.answer:" + problem.hash,
                              {static_cast<std::uint64_t>(task.key.sample)});
    if (arm.draft) {
      request.prompt_ids = prompt_ids(model, messages, task.begun);
      request.sampling = SamplingConfig();
      request.sampling.max_new_tokens = config_.sampling.max_new_tokens;
      request.sampling.stop = {std::string(kEndOfOutput)};
    }
    return request;
  }

  // The text that a draft was made to begin with counts as its own: the model did write most of it.
  Answer answer_of(const ChatModel& model, const ArmConfig& arm, const Task& task,
                   const GenerateRequest& request, const Completion& completion) const {
    Answer answer;
    answer.response = task.begun + completion.text;
    if (arm.draft && completion.finish == FinishReason::kStop) answer.response += kEndOfOutput;
    answer.finish = name_of(completion.finish);
    answer.prompt_tokens = static_cast<std::int64_t>(request.prompt_ids.size());
    answer.new_tokens = static_cast<std::int64_t>(completion.ids.size());
    if (!task.begun.empty()) {
      const auto messages = messages_of(problems_[task.problem].messages, arm, config_);
      const auto asked = static_cast<std::int64_t>(prompt_ids(model, messages).size());
      answer.new_tokens += answer.prompt_tokens - asked;
      answer.prompt_tokens = asked;
    }
    answer.log_probability = completion.log_probability;
    return answer;
  }

  // With the tag tokens of the arm's adapter.
  const ChatModel& model_of(const ArmConfig& arm) {
    if (!model_ || model_folder_ != arm.model) {
      model_.reset();
      model_ =
          load_chat_model(arm.model, config_.template_name, runtime_, config_.base, placement_);
      model_folder_ = arm.model;
    }
    model_->tokenizer = load_tagged_tokenizer(arm.model, arm.adapter);
    return *model_;
  }

  const EvaluateConfig& config_;
  const std::vector<HashedArm>& arms_;
  const std::vector<Problem>& problems_;
  const Placement& placement_;
  ProcessGroup group_;
  AnswerStore* store_;  // null on the ranks that help
  Runtime runtime_ = start_runtime(config_.runtime);
  std::string model_folder_;
  std::optional<ChatModel> model_;
};

}  // namespace

void answer_all(const EvaluateConfig& config, const std::vector<HashedArm>& arms,
                const std::vector<Problem>& problems, const Placement& placement,
                AnswerStore& store) {
  Answering(config, arms, problems, placement, &store).run();
}

void help_answer(const EvaluateConfig& config, const std::vector<HashedArm>& arms,
                 const Placement& placement) {
  Answering(config, arms, {}, placement, nullptr).help();
}

std::vector<Message> messages_of(const std::vector<Message>& messages, const ArmConfig& arm,
                                 const EvaluateConfig& config) {
  const SystemPrompt prompt = system_prompt_of(arm, config);
  if (prompt.as_in_row) return messages;
  std::vector<Message> result;
  if (!prompt.text.empty()) result.push_back({"system", prompt.text});
  for (const Message& message : messages) {
    if (message.role != "system") result.push_back(message);
  }
  return result;
}

GenerateRequest request_of(const ChatModel& model, const ArmConfig& arm,
                           const std::vector<Message>& messages, const EvaluateConfig& config) {
  GenerateRequest request;
  request.prompt_ids = prompt_ids(model, messages);
  request.sampling = config.sampling;
  request.seed = config.runtime.seed;
  request.end_ids = model.end_ids;
  if (arm.ban_reflection) request.banned_text = config.ban_text;
  return request;
}

std::optional<std::string> forced_draft(const std::string& response) {
  const std::size_t reflection = response.find(kReflection);
  if (reflection == std::string::npos || reflection > response.find("</thinking>")) {
    return std::nullopt;
  }
  const std::size_t end = response.substr(0, reflection).find_last_not_of(" \t\r\n");
  const std::string kept = end == std::string::npos ? "" : response.substr(0, end + 1);
  return kept + "\n</thinking>\n<output>";
}

}  // namespace reflect
