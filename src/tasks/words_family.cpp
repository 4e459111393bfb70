// Word problems over a dependency graph: who has how many of something, told in shuffled sentences.
#include <array>

#include "tasks/dependency_graph.h"
#include "tasks/equation_family.h"
#include "tasks/families.h"

namespace reflect {
namespace {

constexpr std::array kPeople = {
    "Aisha", "Ben",  "Carla", "Deepak", "Elena", "Farid", "Greta", "Hugo",  "Ines",  "Jonas",
    "Keiko", "Liam", "Mei",   "Noor",   "Olga",  "Pablo", "Quinn", "Rosa",  "Samir", "Tara",
    "Umar",  "Vera", "Wanda", "Xavier", "Yusuf", "Zoe",   "Anton", "Bella", "Cyrus", "Dana"};
constexpr std::array kThings = {"apples", "books",  "coins",  "stamps",  "marbles",  "pencils",
                                "shells", "cards",  "beads",  "buttons", "stickers", "cookies",
                                "plums",  "tokens", "photos", "stones"};
constexpr std::int64_t kLargestCount = 2'000;

// How one person's count follows from another's and either a bare number or a third person's.
enum class Relation { kMore, kFewer, kTimes, kHalf, kTogether, kMinus };

Operation operation_of(Relation relation) {
  switch (relation) {
    case Relation::kMore:
    case Relation::kTogether:
      return Operation::kAdd;
    case Relation::kFewer:
    case Relation::kMinus:
      return Operation::kSubtract;
    case Relation::kTimes:
      return Operation::kMultiply;
    case Relation::kHalf:
      return Operation::kDivide;
  }
  return Operation::kAdd;
}

// People are numbered as drawn: first those whose count is given.
struct Fact {
  Relation relation;
  std::size_t person;       // whose count it starts from
  std::size_t other = 0;    // kTogether, kMinus
  std::int64_t number = 0;  // the others
  bool with_person() const {
    return relation == Relation::kTogether || relation == Relation::kMinus;
  }
};

Fact draw_fact_with_number(Random& random, std::size_t person, std::int64_t count) {
  const std::int64_t more = random.between(2, 20);
  if (random.chance(0.25) && count * 4 <= kLargestCount) {
    return {Relation::kTimes, person, 0, random.between(2, 4)};
  }
  if (random.chance(0.2) && count >= 4 && count % 2 == 0) return {Relation::kHalf, person, 0, 2};
  if (random.chance(0.5) && count > more) return {Relation::kFewer, person, 0, more};
  return {Relation::kMore, person, 0, more};
}

Fact draw_fact_with_person(Random& random, std::size_t a, std::size_t b,
                           const std::vector<std::int64_t>& counts) {
  const bool minus = counts[a] != counts[b] && random.chance(0.4);
  if (!minus && counts[a] + counts[b] <= kLargestCount) return {Relation::kTogether, a, b, 0};
  return counts[a] > counts[b] ? Fact{Relation::kMinus, a, b, 0} : Fact{Relation::kMinus, b, a, 0};
}

std::string sentence(const Fact& fact, const std::string& who, const std::string& things,
                     const std::vector<std::string>& people) {
  const std::string& from = people[fact.person];
  const std::string number = std::to_string(fact.number);
  switch (fact.relation) {
    case Relation::kMore:
      return who + " has " + number + " more " + things + " than " + from + ".";
    case Relation::kFewer:
      return who + " has " + number + " fewer " + things + " than " + from + ".";
    case Relation::kTimes:
      return who + " has " + (fact.number == 2 ? "twice" : number + " times") + " as many " +
             things + " as " + from + ".";
    case Relation::kHalf:
      return who + " has half as many " + things + " as " + from + ".";
    case Relation::kTogether:
      return who + " has as many " + things + " as " + from + " and " + people[fact.other] +
             " together.";
    case Relation::kMinus:
      return who + " has as many " + things + " as " + from + " has more than " +
             people[fact.other] + ".";
  }
  return {};
}

// The drawn story: who is in it, how many each has, and the fact behind each computed count.
struct Story {
  std::vector<std::string> people;
  std::string things;
  std::vector<std::int64_t> counts;
  std::vector<Fact> facts;
  std::size_t given = 0;  // people whose count is given

  Story(Random& random, std::size_t operations) : given(operations == 1 ? 2 : 3) {
    people.assign(kPeople.begin(), kPeople.end());
    random.shuffle(people);
    people.resize(given + operations);
    things = kThings[random.below(kThings.size())];
    for (std::size_t i = 0; i < given; ++i) counts.push_back(random.between(3, 40));
    for (const auto& [a, b] : draw_dependencies(random, given, operations)) add_fact(random, a, b);
  }

 private:
  // A given operand often becomes a bare number of the sentence itself.
  void add_fact(Random& random, std::size_t a, std::size_t b) {
    const bool with_number = (a < given || b < given) && random.chance(0.7);
    const std::size_t person = std::max(a, b);
    facts.push_back(with_number ? draw_fact_with_number(random, person, counts[person])
                                : draw_fact_with_person(random, a, b, counts));
    const Fact& fact = facts.back();
    const std::int64_t other = fact.with_person() ? counts[fact.other] : fact.number;
    counts.push_back(
        apply(operation_of(fact.relation), {counts[fact.person], {}}, {other, {}})->number);
  }
};

// The story's facts as steps; bare numbers are given quantities after the given counts.
void add_quantities(const Story& story, Program& program) {
  for (std::size_t i = 0; i < story.given; ++i) program.given.push_back({story.counts[i], {}});
  for (const Fact& fact : story.facts) {
    if (!fact.with_person()) program.given.push_back({fact.number, {}});
  }
  const std::size_t numbers = program.given.size() - story.given;
  const auto quantity_of_person = [&](std::size_t person) {
    return person < story.given ? person : person + numbers;
  };
  std::size_t next_number = story.given;
  for (std::size_t i = 0; i < story.facts.size(); ++i) {
    const Fact& fact = story.facts[i];
    const std::size_t other = fact.with_person() ? quantity_of_person(fact.other) : next_number++;
    program.steps.push_back({operation_of(fact.relation),
                             {quantity_of_person(fact.person), other},
                             story.people[story.given + i] + " has ",
                             " " + story.things + "."});
  }
  program.names.resize(program.quantities());
  for (std::size_t person = 0; person < story.people.size(); ++person) {
    program.names[quantity_of_person(person)] =
        "How many " + story.things + " " + story.people[person] + " has";
  }
}

class WordsFamily : public EquationFamily {
 public:
  std::string_view name() const override { return "words"; }
  int max_operations() const override { return static_cast<int>(kPeople.size()) - 3; }

  Program make(Random& random, int operations) const override {
    const Story story(random, static_cast<std::size_t>(operations));
    Program program;
    program.family = "words";
    add_quantities(story, program);

    std::vector<std::string> sentences;
    for (std::size_t i = 0; i < story.given; ++i) {
      sentences.push_back(story.people[i] + " has " + std::to_string(story.counts[i]) + " " +
                          story.things + ".");
    }
    for (std::size_t i = 0; i < story.facts.size(); ++i) {
      sentences.push_back(
          sentence(story.facts[i], story.people[story.given + i], story.things, story.people));
    }
    random.shuffle(sentences);
    for (const std::string& text : sentences) program.prompt += text + " ";
    program.prompt += "How many " + story.things + " does " + story.people.back() + " have?";
    program.answer = std::to_string(story.counts.back());
    return program;
  }
};

}  // namespace

std::unique_ptr<Family> make_words_family() {
  return std::make_unique<WordsFamily>();
}

}  // namespace reflect
