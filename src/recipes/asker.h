// Carries rows' requests to their teachers and brings the replies back: from the run store where
// they are there, within a budget, each kept before it is used.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "recipes/run_store.h"
#include "recipes/teacher_job.h"
#include "recipes/teacher_table.h"
#include "reflect/recipes/synthesize.h"
#include "reflect/recipes/teacher.h"

namespace reflect {

struct RowRun;

struct Question {
  RowRun* row = nullptr;
  std::size_t index = 0;  // among the row's requests
  std::size_t teacher = 0;
  TeacherRequest request;
  std::string step, problem;  // for the store
};

struct AnsweredQuestion {
  RowRun* row;
  std::size_t index;
  TeacherReply reply;
  double usd = 0;
  bool stored = false;  // it was there already
};

// Replies that rows have taken, stored ones included.
struct UsedReplies {
  std::int64_t replies = 0;
  std::int64_t stored = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  double usd = 0;
  std::map<std::string, std::int64_t> finishes;

  void add(const AnsweredQuestion& answer);
  void add(const UsedReplies& others);
};

class Asker {
 public:
  // Opens the teachers that are asked.
  Asker(const TeacherTable& teachers, TeacherJob& job, RunStore& store, const BudgetConfig& budget);
  ~Asker();  // dismisses the job's other processes

  void ask(Question question);
  // Submits what teachers and budget allow and waits for replies. Nothing when no question is left,
  // when the budget lets none go, or when a signal came.
  std::vector<AnsweredQuestion> poll();
  // Whether questions are left that the budget does not allow.
  bool budget_ended() const { return budget_ended_; }
  std::size_t open_questions() const { return open_; }
  std::size_t capacity() const;
  std::size_t in_flight() const;  // requests at the teachers

  // Teacher::identity of each that is asked.
  std::vector<std::string> identities() const;
  // What the teachers found out of the ordinary in this process, by name.
  std::map<std::string, std::int64_t> oddities() const;

 private:
  struct Desk;
  struct UnderWay;
  void fill(Desk& desk);
  bool affordable(const Desk& desk, const TeacherRequest& request) const;
  void collect(Desk& desk, std::chrono::milliseconds wait, std::vector<StoredReply>& fresh);
  void collect_all(std::chrono::milliseconds wait);

  TeacherJob& job_;
  RunStore& store_;
  BudgetConfig budget_;
  std::vector<std::unique_ptr<Desk>> desks_;  // one a teacher; empty for those not asked
  std::uint64_t next_ticket_ = 0;
  std::size_t open_ = 0;
  bool budget_ended_ = false;
};

}  // namespace reflect
