#include "recipes/local_teacher.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "reflect/base/hash.h"
#include "reflect/data/tag_tokens.h"
#include "reflect/generate/chat_model.h"
#include "reflect/generate/engine.h"
#include "reflect/model/lora.h"
#include "reflect/model/runtime.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLocalOp = "teacher";
// Requests that a rank is given together: several batches, so that rows can take free places.
constexpr std::size_t kBatchesOfGroup = 4;
// Of a greater file the identity holds the size and this much of its start and end.
constexpr std::size_t kHashedBytes = std::size_t{8} << 20;

std::string hash_of_file(const std::string& path) {
  const MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (bytes.size() <= 2 * kHashedBytes) return content_hash(bytes);
  return fmt::format("{}:{}:{}", bytes.size(), content_hash(bytes.substr(0, kHashedBytes)),
                     content_hash(bytes.substr(bytes.size() - kHashedBytes)));
}

// The files of a folder that shape what a model says.
std::string hash_of_folder(const std::string& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string ending = entry.path().extension();
    if (ending == ".json" || ending == ".jinja" || ending == ".model" || ending == ".safetensors") {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::string text;
  for (const fs::path& path : paths) {
    text += fmt::format("{}={}\n", path.filename().string(), hash_of_file(path));
  }
  return content_hash(text);
}

ReplyFinish finish_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEnd:
      return ReplyFinish::kEnd;
    case FinishReason::kStop:
      return ReplyFinish::kStop;
    case FinishReason::kLength:
      return ReplyFinish::kLength;
    case FinishReason::kPromptTooLong:
      return ReplyFinish::kPromptTooLong;
  }
  return ReplyFinish::kFailed;
}

// On the rank's own device.
Runtime runtime_of(const RuntimeConfig& config, const Placement& placement) {
  Runtime runtime = start_runtime(config);
  if (placement.device) runtime.device = *placement.device;
  return runtime;
}

class LocalTeacher : public Teacher {
 public:
  LocalTeacher(const TeacherConfig& config, const RuntimeConfig& runtime_config,
               const Placement& placement, Team& team)
      : team_(team),
        model_(load_chat_model(config.model, config.template_name,
                               runtime_of(runtime_config, placement), config.base, placement)) {
    const Runtime& runtime = model_.llama->runtime();
    identity_ = fmt::format("local model={} template={} dtype={} device={} rows={}/{}",
                            hash_of_folder(config.model), model_.chat.name(),
                            name_of_dtype(runtime.dtype), runtime_config.device,
                            config.engine.max_batch_rows, config.engine.max_prefill_tokens);
    if (config.base.storage != "dtype") identity_ += " storage=" + config.base.storage;
    if (!config.adapter.empty()) {
      adapter_ = read_adapter(config.adapter, model_.llama->config(), runtime.device);
      model_.tokenizer = load_tagged_tokenizer(config.model, config.adapter);
      identity_ += " adapter=" + hash_of_folder(config.adapter);
    }
    ProcessGroup(placement.group).require_same({{"the teacher " + config.model, identity_}});
    engine_.emplace(*model_.llama, *model_.tokenizer, config.engine,
                    adapter_ ? &*adapter_ : nullptr);
    number_ = team_.add(*engine_);
  }

  std::string identity() const override { return identity_; }
  std::size_t capacity() const override {
    return kBatchesOfGroup * static_cast<std::size_t>(engine_->config().max_batch_rows) *
           static_cast<std::size_t>(team_.ranks());
  }
  std::size_t in_flight() const override { return tickets_.size(); }

  void submit(std::uint64_t ticket, TeacherRequest request) override {
    GenerateRequest& each = requests_.emplace_back();
    each.prompt_ids = prompt_ids(model_, request.messages, request.begun);
    each.sampling = std::move(request.sampling);
    each.seed = request.seed;
    each.end_ids = model_.end_ids;
    tickets_.push_back(ticket);
  }

  std::vector<FinishedRequest> take(std::chrono::milliseconds) override {
    if (tickets_.empty()) return {};
    const std::vector<Completion> completions = team_.generate(requests_, {}, number_);
    std::vector<FinishedRequest> finished;
    for (std::size_t i = 0; i < tickets_.size(); ++i) {
      TeacherReply reply;
      reply.text = completions[i].text;
      reply.finish = finish_of(completions[i].finish);
      reply.prompt_tokens = static_cast<std::int64_t>(requests_[i].prompt_ids.size());
      reply.completion_tokens = static_cast<std::int64_t>(completions[i].ids.size());
      finished.push_back({tickets_[i], std::move(reply)});
    }
    tickets_.clear();
    requests_.clear();
    return finished;
  }

 private:
  Team& team_;
  ChatModel model_;
  std::optional<Adapter> adapter_;
  std::string identity_;
  std::optional<Engine> engine_;
  std::size_t number_ = 0;  // of the engine in the team
  std::vector<std::uint64_t> tickets_;
  std::vector<GenerateRequest> requests_;
};

}  // namespace

std::unique_ptr<Teacher> open_local_teacher(const TeacherConfig& config,
                                            const RuntimeConfig& runtime,
                                            const Placement& placement, Team& team) {
  if (config.model.empty()) {
    fail_usage(kLocalOp, "the teacher local needs --teacher.model, a checkpoint folder");
  }
  if (!fs::exists(config.model + "/config.json")) {
    fail_usage(kLocalOp,
               "--teacher.model \"{}\" has no config.json; the teacher local needs a checkpoint "
               "folder",
               config.model);
  }
  if (!config.adapter.empty() && !fs::exists(config.adapter + "/adapter_config.json")) {
    fail_usage(kLocalOp,
               "--teacher.adapter \"{}\" has no adapter_config.json; give a PEFT adapter "
               "folder",
               config.adapter);
  }
  if (config.engine.max_batch_rows < 1 || config.engine.max_prefill_tokens < 1) {
    fail_usage(kLocalOp,
               "--teacher.engine.max_batch_rows {} and max_prefill_tokens {} must be positive",
               config.engine.max_batch_rows, config.engine.max_prefill_tokens);
  }
  return std::make_unique<LocalTeacher>(config, runtime, placement, team);
}

}  // namespace reflect
