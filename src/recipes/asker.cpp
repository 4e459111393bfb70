#include "recipes/asker.h"

#include <algorithm>

#include "reflect/base/signals.h"

namespace reflect {
namespace {

constexpr std::chrono::milliseconds kPatience{500};  // for a reply, before signals are looked at
constexpr std::chrono::milliseconds kShort{5};       // where several teachers are busy

// What a request may cost at most, by its length: a token has about 4 bytes, seldom under 2.
struct Cost {
  double tokens = 0;
  double usd = 0;
};

Cost cost_of(double prompt_tokens, double completion_tokens, const PriceConfig& price) {
  return {prompt_tokens + completion_tokens,
          (prompt_tokens * price.prompt + completion_tokens * price.completion) * 1e-6};
}

Cost highest_cost(const TeacherRequest& request, const PriceConfig& price) {
  constexpr double kBytesOfToken = 2;
  constexpr double kTokensOfMessage = 16;
  double bytes = static_cast<double>(request.begun.size());
  for (const Message& message : request.messages) {
    bytes += static_cast<double>(message.content.size());
  }
  const double messages = static_cast<double>(request.messages.size());
  return cost_of(bytes / kBytesOfToken + kTokensOfMessage * messages,
                 static_cast<double>(request.sampling.max_new_tokens), price);
}

Cost cost_of(const TeacherReply& reply, const PriceConfig& price) {
  return cost_of(static_cast<double>(reply.prompt_tokens),
                 static_cast<double>(reply.completion_tokens), price);
}

}  // namespace

// A request that was submitted, and all who wait for its reply.
struct Asker::UnderWay {
  RequestKey key;
  std::vector<Question> questions;  // the first one was submitted
  Cost reserved;
};

struct Asker::Desk {
  TeacherConfig config;
  std::unique_ptr<Teacher> teacher;
  std::string identity;
  std::deque<Question> waiting;
  std::map<std::uint64_t, UnderWay> under_way;   // by ticket
  std::map<std::string, std::uint64_t> tickets;  // by key
  // By ticket: in the order of asking.
  std::map<std::uint64_t, std::vector<AnsweredQuestion>> ready;
};

Asker::Asker(const TeacherTable& teachers, TeacherJob& job, RunStore& store,
             const BudgetConfig& budget)
    : job_(job), store_(store), budget_(budget) {
  for (const TeacherConfig& config : teachers.configs()) {
    desks_.push_back(is_asked(config) ? std::make_unique<Desk>() : nullptr);
    if (!desks_.back()) continue;
    desks_.back()->config = config;
    desks_.back()->teacher = job.open(config);
    desks_.back()->identity = desks_.back()->teacher->identity();
  }
}

Asker::~Asker() {
  job_.dismiss();
}

std::size_t Asker::capacity() const {
  std::size_t sum = 0;
  for (const auto& desk : desks_) sum += desk ? desk->teacher->capacity() : 0;
  return sum;
}

std::size_t Asker::in_flight() const {
  std::size_t sum = 0;
  for (const auto& desk : desks_) sum += desk ? desk->teacher->in_flight() : 0;
  return sum;
}

std::map<std::string, std::int64_t> Asker::oddities() const {
  std::map<std::string, std::int64_t> sums;
  for (const auto& desk : desks_) {
    if (!desk) continue;
    for (const auto& [name, count] : desk->teacher->counts()) sums[name] += count;
  }
  return sums;
}

void Asker::ask(Question question) {
  ++open_;
  Desk& desk = *desks_.at(question.teacher);
  desk.waiting.push_back(std::move(question));
}

bool Asker::affordable(const Desk& desk, const TeacherRequest& request) const {
  if (budget_.tokens == 0 && budget_.usd == 0) return true;
  Cost sum = highest_cost(request, desk.config.price);
  for (const auto& each : desks_) {
    if (!each) continue;
    for (const auto& [ticket, under_way] : each->under_way) {
      sum.tokens += under_way.reserved.tokens;
      sum.usd += under_way.reserved.usd;
    }
  }
  const StoreTotals& spent = store_.totals();
  if (budget_.usd != 0 && spent.usd + sum.usd > budget_.usd) return false;
  return budget_.tokens == 0 ||
         static_cast<double>(spent.tokens()) + sum.tokens <= static_cast<double>(budget_.tokens);
}

std::vector<std::string> Asker::identities() const {
  std::vector<std::string> names;
  for (const auto& desk : desks_) {
    if (desk) names.push_back(desk->config.name + ": " + desk->identity);
  }
  return names;
}

void UsedReplies::add(const AnsweredQuestion& answer) {
  ++replies;
  stored += answer.stored ? 1 : 0;
  prompt_tokens += answer.reply.prompt_tokens;
  completion_tokens += answer.reply.completion_tokens;
  usd += answer.usd;
  ++finishes[std::string(name_of(answer.reply.finish))];
}

void UsedReplies::add(const UsedReplies& others) {
  replies += others.replies;
  stored += others.stored;
  prompt_tokens += others.prompt_tokens;
  completion_tokens += others.completion_tokens;
  usd += others.usd;
  for (const auto& [name, count] : others.finishes) finishes[name] += count;
}

// Stored replies take places too and come back with the group that they belong to: so which
// requests a teacher is given together does not depend on which of them are stored.
void Asker::fill(Desk& desk) {
  while (!desk.waiting.empty() &&
         desk.teacher->in_flight() + desk.ready.size() < desk.teacher->capacity()) {
    Question& question = desk.waiting.front();
    RequestKey key = key_of(desk.identity, question.request);
    const std::uint64_t ticket = next_ticket_;
    if (auto reply = store_.find(key.key)) {
      const double usd = cost_of(*reply, desk.config.price).usd;
      desk.ready[ticket].push_back({question.row, question.index, std::move(*reply), usd, true});
    } else if (const auto same = desk.tickets.find(key.key); same != desk.tickets.end()) {
      desk.under_way.at(same->second).questions.push_back(std::move(question));
    } else if (!affordable(desk, question.request)) {
      return;
    } else {
      const Cost reserved = highest_cost(question.request, desk.config.price);
      desk.teacher->submit(ticket, question.request);
      desk.tickets[key.key] = ticket;
      UnderWay& under_way = desk.under_way[ticket];
      under_way.key = std::move(key);
      under_way.reserved = reserved;
      under_way.questions.push_back(std::move(question));
    }
    ++next_ticket_;
    desk.waiting.pop_front();
  }
}

void Asker::collect(Desk& desk, std::chrono::milliseconds wait, std::vector<StoredReply>& fresh) {
  for (FinishedRequest& finished : desk.teacher->take(wait)) {
    const auto found = desk.under_way.find(finished.ticket);
    UnderWay under_way = std::move(found->second);
    desk.under_way.erase(found);
    desk.tickets.erase(under_way.key.key);
    const TeacherReply& reply = finished.reply;
    const double usd = cost_of(reply, desk.config.price).usd;
    for (const Question& question : under_way.questions) {
      desk.ready[finished.ticket].push_back({question.row, question.index, reply, usd});
    }
    if (reply.may_succeed_later) continue;
    const Question& first = under_way.questions.front();
    fresh.push_back({std::move(under_way.key), first.step, first.problem, reply, usd});
  }
}

// What a teacher that gives up has answered before is kept.
void Asker::collect_all(std::chrono::milliseconds wait) {
  std::vector<StoredReply> fresh;
  try {
    for (const auto& desk : desks_) {
      if (desk && desk->teacher->in_flight() != 0) collect(*desk, wait, fresh);
    }
  } catch (...) {
    store_.add(fresh);
    throw;
  }
  store_.add(fresh);
}

std::vector<AnsweredQuestion> Asker::poll() {
  std::vector<AnsweredQuestion> answers;
  while (answers.empty() && open_ != 0 && signal_received() == 0) {
    std::size_t busy = 0, ready = 0;
    for (const auto& desk : desks_) {
      if (!desk) continue;
      fill(*desk);
      busy += desk->teacher->in_flight() != 0 ? 1 : 0;
      ready += desk->ready.size();
    }
    budget_ended_ = busy == 0 && ready == 0;
    if (budget_ended_) break;
    const auto wait = ready != 0 ? std::chrono::milliseconds(0) : busy > 1 ? kShort : kPatience;
    collect_all(wait);
    for (const auto& desk : desks_) {
      if (!desk) continue;
      for (auto& [ticket, group] : desk->ready) {
        for (AnsweredQuestion& answer : group) answers.push_back(std::move(answer));
      }
      desk->ready.clear();
    }
  }
  open_ -= answers.size();
  return answers;
}

}  // namespace reflect
