#include "evaluate/answer_store.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::string_view kAnswersOp = "evaluate";

// The whole lines of a file: what a killed run wrote last may lack its end.
std::string_view whole_lines(std::string_view text) {
  return text.substr(0, text.rfind('\n') + 1);
}

AnswerKey key_of(const Json& row) {
  return {row.at("arm_hash"), row.at("problem_hash"), row.at("sample")};
}

}  // namespace

Json json_of(const AnswerKey& key, const Answer& answer) {
  return {{"arm_hash", key.arm_hash},
          {"problem_hash", key.problem_hash},
          {"sample", key.sample},
          {"response", answer.response},
          {"finish", answer.finish},
          {"prompt_tokens", answer.prompt_tokens},
          {"new_tokens", answer.new_tokens},
          {"log_probability", answer.log_probability}};
}

AnswerStore::AnswerStore(std::string path, std::string others)
    : path_(std::move(path)), others_(std::move(others)) {
  if (!others_.empty()) read(others_);
  read(path_);
  file_ = std::fopen(path_.c_str(), "a");
  if (file_ == nullptr) fail(kAnswersOp, "cannot write {}: {}", path_, std::strerror(errno));
}

void AnswerStore::read(const std::string& path) {
  if (!std::filesystem::exists(path)) return;
  const std::string text = read_file(path);
  std::string_view rest = whole_lines(text);
  std::filesystem::resize_file(path, rest.size());
  for (std::size_t line = 1; !rest.empty(); ++line) {
    const std::size_t end = rest.find('\n');
    try {
      const Json row = Json::parse(rest.substr(0, end));
      answers_[key_of(row)] = {row.at("response"), row.at("finish"), row.at("prompt_tokens"),
                               row.at("new_tokens"), row.at("log_probability")};
    } catch (const Json::exception& error) {
      fail(kAnswersOp,
           "{}:{} is no row of an earlier run ({}); remove the file or give another --output", path,
           line, error.what());
    }
    rest.remove_prefix(end + 1);
  }
}

AnswerStore::~AnswerStore() {
  std::fclose(file_);
}

const Answer* AnswerStore::find(const AnswerKey& key) const {
  const auto found = answers_.find(key);
  return found == answers_.end() ? nullptr : &found->second;
}

void AnswerStore::add(const AnswerKey& key, Answer answer) {
  const std::string line = json_of(key, answer).dump() + "\n";
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fflush(file_) != 0) {
    fail(kAnswersOp, "cannot write {}: {}", path_, std::strerror(errno));
  }
  answers_[key] = std::move(answer);
}

std::size_t AnswerStore::replace_file(const std::vector<Json>& rows) {
  std::map<AnswerKey, Answer> others = answers_;
  for (const Json& row : rows) others.erase(key_of(row));
  if (others_.empty()) others.clear();
  if (!others.empty()) {
    AtomicWriter writer(others_);
    for (const auto& [key, answer] : others) write_json_line(writer, json_of(key, answer));
    writer.commit();
  }
  AtomicWriter writer(path_);
  for (const Json& row : rows) write_json_line(writer, row);
  writer.commit();
  if (others.empty() && !others_.empty()) std::filesystem::remove(others_);
  return others.size();
}

}  // namespace reflect
