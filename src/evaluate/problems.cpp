#include "evaluate/problems.h"

#include <map>
#include <optional>

#include "reflect/base/error.h"
#include "reflect/base/hash.h"
#include "reflect/data/bad_rows.h"

namespace reflect {
namespace {

constexpr const char* kNoGroup = "-";

// The value at a dotted path of the row, as text.
std::string text_at(const Json& row, std::string_view dotted) {
  const Json* value = value_at(row, dotted);
  if (value == nullptr) return kNoGroup;
  return value->is_string() ? value->get<std::string>() : value->dump();
}

std::string hash_of(const std::vector<Message>& messages) {
  Json all = Json::array();
  for (const Message& message : messages) all.push_back({message.role, message.content});
  return content_hash(all.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// Why a record is not a problem, or nothing.
std::optional<std::string> reason_against(const Record& record) {
  if (record.messages.empty() || record.messages.back().role != "user") {
    return "the messages do not end with the user's";
  }
  if (!record.answer || record.answer->empty()) return "no gold answer";
  return std::nullopt;
}

// The field to group by is there; a row may lack it, all of them may not.
void require_group(const std::vector<Problem>& problems, const std::string& group_by,
                   const std::string& path) {
  if (group_by.empty()) return;
  for (const Problem& problem : problems)
    if (problem.group != kNoGroup) return;
  fail_usage("evaluate", "--group-by {}: none of {} problems of {} has this field", group_by,
             problems.size(), path);
}

}  // namespace

ProblemSet read_problems(const std::string& path, std::int64_t limit, const std::string& group_by) {
  ProblemSet set;
  std::map<std::string, std::string> hash_of_id;
  RecordReader reader(path);
  while (limit == 0 || static_cast<std::int64_t>(set.problems.size()) < limit) {
    std::optional<Record> record = reader.next();
    if (!record) break;
    if (const auto reason = reason_against(*record)) {
      set.rejected.push_back({record->id, *reason});
      continue;
    }
    std::string hash = hash_of(record->messages);
    const auto [known, is_new] = hash_of_id.emplace(record->id, hash);
    if (!is_new && known->second != hash) {
      fail("evaluate", "{}: two different problems have the id \"{}\"; make ids unique", path,
           record->id);
    }
    if (!is_new) {
      set.rejected.push_back({record->id, "repeated problem"});
      continue;
    }
    std::string group = group_by.empty() ? "" : text_at(json_of(*record), group_by);
    set.problems.push_back({record->id, std::move(hash), std::move(record->messages),
                            std::move(*record->answer), std::move(group)});
  }
  for (const BadRow& bad : reader.bad_rows()) {
    set.rejected.push_back({fmt::format("line {}", bad.line), kind_of(bad)});
  }
  set.malformed = summary_of(reader.bad_rows(), path);
  if (set.problems.empty()) {
    fail("evaluate",
         "{} has no problem with a gold answer ({} rows rejected{}); give rows with "
         "a prompt and an answer",
         path, set.rejected.size(),
         set.malformed.empty()
             ? (set.rejected.empty() ? "" : ", the first: " + set.rejected.front().reason)
             : "; " + set.malformed);
  }
  require_group(set.problems, group_by, path);
  return set;
}

}  // namespace reflect
