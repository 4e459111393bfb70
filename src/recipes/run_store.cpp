#include "recipes/run_store.h"

#include <sqlite3.h>

#include "reflect/base/config.h"
#include "reflect/base/error.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

constexpr std::string_view kStoreOp = "run store";
constexpr int kVersion = 1;

constexpr const char* kSchema =
    "CREATE TABLE replies("
    "  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, step TEXT, problem TEXT, request TEXT,"
    "  text TEXT, reasoning TEXT, finish TEXT, failure TEXT, prompt_tokens INTEGER,"
    "  completion_tokens INTEGER, usd REAL, attempts INTEGER);"
    "CREATE TABLE verdicts("
    "  problem TEXT, place INTEGER, attempt INTEGER, variant TEXT, verdict TEXT, step TEXT,"
    "  reason TEXT);"
    "CREATE INDEX verdicts_of_problem ON verdicts(problem, place);"
    "PRAGMA user_version = 1;";

// Sums over all replies, kept so that no start has to read them all, and the checkpoint. A store
// that was made before these were kept gets them when it is opened.
constexpr const char* kFurther =
    "CREATE TABLE IF NOT EXISTS totals("
    "  id INTEGER PRIMARY KEY, replies INTEGER, attempts INTEGER, prompt_tokens INTEGER,"
    "  completion_tokens INTEGER, usd REAL);"
    "CREATE TABLE IF NOT EXISTS checkpoint(id INTEGER PRIMARY KEY, state TEXT);";

std::string_view name_of(Fate fate) {
  switch (fate) {
    case Fate::kAccepted:
      return "accepted";
    case Fate::kRejected:
      return "rejected";
    case Fate::kNotUsed:
    case Fate::kUnderWay:
      break;
  }
  return "not used";
}

}  // namespace

RequestKey key_of(const std::string& identity, const TeacherRequest& request) {
  Json json = {{"identity", identity}};
  for (const Message& message : request.messages) {
    json["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  if (!request.begun.empty()) json["begun"] = request.begun;
  SamplingConfig sampling = request.sampling;
  for (const Field& field : fields_of(sampling)) json["sampling"][field.path] = text_of(field);
  json["seed"] = request.seed;
  json["draw"] = request.draw;
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return {content_hash(text), std::move(text)};
}

// A prepared statement whose places are filled in order.
class RunStore::Statement {
 public:
  Statement(RunStore& store, const char* sql) : store_(store) {
    if (sqlite3_prepare_v2(store.db_.get(), sql, -1, &statement_, nullptr) != SQLITE_OK) {
      store.fail_with("read");
    }
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(std::string_view text) {
    sqlite3_bind_text64(statement_, ++place_, text.data(), text.size(), SQLITE_TRANSIENT,
                        SQLITE_UTF8);
    return *this;
  }
  Statement& bind(std::int64_t value) {
    sqlite3_bind_int64(statement_, ++place_, value);
    return *this;
  }
  Statement& bind(double value) {
    sqlite3_bind_double(statement_, ++place_, value);
    return *this;
  }

  // Whether there is a row; call done() afterwards.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) store_.fail_with("write");
    return code == SQLITE_ROW;
  }
  void done() {
    sqlite3_reset(statement_);
    place_ = 0;
  }
  void run() {
    step();
    done();
  }
  std::string text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return bytes == nullptr ? std::string() : std::string(bytes, size);
  }
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  double real(int column) const { return sqlite3_column_double(statement_, column); }

 private:
  RunStore& store_;
  sqlite3_stmt* statement_ = nullptr;
  int place_ = 0;
};

RunStore::RunStore(const std::string& path) : path_(path) {
  sqlite3* db = nullptr;
  const int opened =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  db_.reset(db);
  if (opened != SQLITE_OK) fail_with("open");
  execute("PRAGMA locking_mode = EXCLUSIVE");
  execute("PRAGMA journal_mode = TRUNCATE");
  execute("PRAGMA synchronous = NORMAL");
  execute("BEGIN EXCLUSIVE");  // takes the lock, which stays until the end
  Statement version(*this, "PRAGMA user_version");
  version.step();
  const std::int64_t found = version.integer(0);
  version.done();
  if (found == 0) execute(kSchema);
  if (found == 0 || found == kVersion) execute(kFurther);
  execute("COMMIT");
  if (found != 0 && found != kVersion) {
    fail(kStoreOp, "{} has version {}, this program writes {}; give another --output", path_, found,
         kVersion);
  }
  find_ = std::make_unique<Statement>(
      *this,
      "SELECT text, reasoning, finish, failure, prompt_tokens, completion_tokens, attempts"
      " FROM replies WHERE key = ?");
  add_ = std::make_unique<Statement>(
      *this,
      "INSERT OR IGNORE INTO replies(key, step, problem, request, text, reasoning, finish,"
      " failure, prompt_tokens, completion_tokens, usd, attempts)"
      " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  forget_ =
      std::make_unique<Statement>(*this, "DELETE FROM verdicts WHERE problem = ? AND place = ?");
  verdict_ = std::make_unique<Statement>(
      *this,
      "INSERT INTO verdicts(problem, place, attempt, variant, verdict, step, reason)"
      " VALUES(?, ?, ?, ?, ?, ?, ?)");
  read_totals();
}

RunStore::~RunStore() = default;

void RunStore::Close::operator()(sqlite3* db) const {
  sqlite3_close(db);
}

void RunStore::execute(const char* sql) {
  if (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail_with("write");
}

void RunStore::fail_with(const char* doing) const {
  const int code = sqlite3_errcode(db_.get());
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
    fail(kStoreOp, "{} is held by another process; wait for it, or give another --output", path_);
  }
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
    fail(kStoreOp, "{} is no run store ({}); move it away or give another --output", path_,
         sqlite3_errmsg(db_.get()));
  }
  fail(kStoreOp, "cannot {} {}: {}", doing, path_, sqlite3_errmsg(db_.get()));
}

void RunStore::read_totals() {
  totals_of_ = std::make_unique<Statement>(
      *this,
      "INSERT OR REPLACE INTO totals(id, replies, attempts, prompt_tokens, completion_tokens, usd)"
      " VALUES(1, ?, ?, ?, ?, ?)");
  const auto read = [this](Statement& sums) {
    const bool found = sums.step();
    if (found) {
      totals_ = {sums.integer(0), sums.integer(1), sums.integer(2), sums.integer(3), sums.real(4)};
    }
    sums.done();
    return found;
  };
  Statement kept(*this,
                 "SELECT replies, attempts, prompt_tokens, completion_tokens, usd FROM totals");
  if (read(kept)) return;
  Statement sums(*this,
                 "SELECT COUNT(*), SUM(attempts), SUM(prompt_tokens), SUM(completion_tokens),"
                 " SUM(usd) FROM replies");
  read(sums);
  write_totals();
}

void RunStore::write_totals() {
  totals_of_->bind(totals_.replies).bind(totals_.attempts).bind(totals_.prompt_tokens);
  totals_of_->bind(totals_.completion_tokens).bind(totals_.usd);
  totals_of_->run();
}

std::string RunStore::checkpoint() {
  Statement state(*this, "SELECT state FROM checkpoint");
  std::string text = state.step() ? state.text(0) : "";
  state.done();
  return text;
}

void RunStore::set_checkpoint(const std::string& text) {
  Statement state(*this, "INSERT OR REPLACE INTO checkpoint(id, state) VALUES(1, ?)");
  state.bind(text);
  state.run();
}

std::optional<TeacherReply> RunStore::find(const std::string& key) {
  find_->bind(key);
  std::optional<TeacherReply> reply;
  if (find_->step()) {
    reply.emplace();
    reply->text = find_->text(0);
    reply->reasoning = find_->text(1);
    reply->finish = reply_finish_named(find_->text(2));
    reply->failure = find_->text(3);
    reply->prompt_tokens = find_->integer(4);
    reply->completion_tokens = find_->integer(5);
    reply->attempts = find_->integer(6);
  }
  find_->done();
  return reply;
}

void RunStore::add(const std::vector<StoredReply>& replies) {
  if (replies.empty()) return;
  execute("BEGIN");
  for (const StoredReply& stored : replies) {
    const TeacherReply& reply = stored.reply;
    add_->bind(stored.request.key).bind(stored.step).bind(stored.problem);
    add_->bind(stored.request.text).bind(reply.text).bind(reply.reasoning);
    add_->bind(name_of(reply.finish)).bind(reply.failure).bind(reply.prompt_tokens);
    add_->bind(reply.completion_tokens).bind(stored.usd).bind(reply.attempts);
    add_->run();
    if (sqlite3_changes(db_.get()) == 0) continue;
    ++totals_.replies;
    totals_.attempts += reply.attempts;
    totals_.prompt_tokens += reply.prompt_tokens;
    totals_.completion_tokens += reply.completion_tokens;
    totals_.usd += stored.usd;
  }
  write_totals();
  execute("COMMIT");
}

void RunStore::add_verdicts(const std::vector<TraceRow>& rows) {
  if (rows.empty()) return;
  execute("BEGIN");
  for (const TraceRow& row : rows) {
    const auto place = static_cast<std::int64_t>(row.task->place);
    forget_->bind(row.task->problem.id).bind(place);
    forget_->run();
  }
  for (const TraceRow& row : rows) {
    verdict_->bind(row.task->problem.id).bind(static_cast<std::int64_t>(row.task->place));
    verdict_->bind(static_cast<std::int64_t>(row.attempt)).bind(variant_of(row));
    verdict_->bind(name_of(row.fate)).bind(row.at_step).bind(row.reason);
    verdict_->run();
  }
  execute("COMMIT");
}

}  // namespace reflect
