// Every request of a run with its reply, in one SQLite file: what a killed run has paid for is
// there when the same command runs again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "recipes/task.h"
#include "reflect/recipes/teacher.h"

struct sqlite3;

namespace reflect {

// A hash of all that shapes the reply: who answers (Teacher::identity) and the request with its
// draw. `text` is the request as it is kept.
struct RequestKey {
  std::string key;   // 32 hexadecimal digits
  std::string text;  // JSON
};
RequestKey key_of(const std::string& identity, const TeacherRequest& request);

struct StoredReply {
  RequestKey request;
  std::string step;     // of the recipe that asked
  std::string problem;  // id
  TeacherReply reply;
  double usd = 0;
};

struct StoreTotals {
  std::int64_t replies = 0;
  std::int64_t attempts = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  double usd = 0;
  std::int64_t tokens() const { return prompt_tokens + completion_tokens; }
};

// One process at a time holds the file (an exclusive lock, which its end releases, kill -9
// included); no shared memory is used, so any file system with plain locks will do. What `add` was
// given is on the disk when it returns, all of it or nothing.
class RunStore {
 public:
  // Creates the file where there is none; ":memory:" keeps nothing. Error where another process
  // holds it, or it is no run store of this version.
  explicit RunStore(const std::string& path);
  ~RunStore();
  RunStore(const RunStore&) = delete;
  RunStore& operator=(const RunStore&) = delete;

  std::optional<TeacherReply> find(const std::string& key);
  // One transaction. A key that is there already stays as it is.
  void add(const std::vector<StoredReply>& replies);
  // What became of the rows, in one transaction. The verdicts of an earlier run on the same
  // problems are replaced.
  void add_verdicts(const std::vector<TraceRow>& rows);
  const StoreTotals& totals() const { return totals_; }
  // One text that says how far the run has come; empty where there is none.
  std::string checkpoint();
  void set_checkpoint(const std::string& text);

 private:
  class Statement;
  void execute(const char* sql);
  [[noreturn]] void fail_with(const char* doing) const;
  void read_totals();
  void write_totals();

  std::string path_;
  struct Close {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, Close> db_;  // outlives the statements
  std::unique_ptr<Statement> find_, add_, forget_, verdict_, totals_of_;
  StoreTotals totals_;
};

}  // namespace reflect
