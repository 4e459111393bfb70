// What several kinds of steps share: requests to models, conditions, wordings, names of checkers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reflect/recipes/text_template.h"

namespace reflect {

// Variants of a text by what they are for; which variant a row gets is drawn by its key.
using Wordings = std::map<std::string, std::vector<TextTemplate>>;

// "FIELD is TEXT", "FIELD is not TEXT", "FIELD is missing", "FIELD is not missing". Of a field that
// is a list every element must be TEXT. Compared without regard to case, and to white space and a
// full stop around.
struct Condition {
  std::string field;  // empty: always holds
  std::string text;   // "missing": there is none, or it is empty
  bool negated = false;
};

// Checkers of steps (tasks/checker.h): those that compare two answers, with them the one that runs
// an answer's tests, and with all of these "judge": a model compares.
inline std::vector<std::string> comparing_checker_names() {
  return {"auto", "number", "choice", "math", "exact"};
}
inline std::vector<std::string> checker_names() {
  std::vector<std::string> names = comparing_checker_names();
  names.push_back("unit_tests");
  return names;
}
inline std::vector<std::string> checker_and_judge_names() {
  std::vector<std::string> names = checker_names();
  names.push_back("judge");
  return names;
}

// A request to a model: its texts, and sampling settings over the teacher's own.
struct Asking {
  std::string teacher;
  TextTemplate system, prompt, begun;
  double temperature = -1;
  double top_p = 0;
  std::int64_t max_new_tokens = 0;
  std::vector<std::string> stop;

  void visit(auto& v) {
    v("teacher", teacher,
      "Name of the teacher that is asked; empty: the run's only or unnamed one.");
    v("system", system, "System message.");
    v("prompt", prompt, "User message.");
    v("begun", begun, "Start of the answer, which the model goes on with.");
    v("temperature", temperature, "Temperature; -1: the teacher's setting.");
    v("top_p", top_p, "Nucleus; 0: the teacher's setting.");
    v("max_new_tokens", max_new_tokens, "Longest answer; 0: the teacher's setting.");
    v("stop", stop, "Strings that end the answer; empty: the teacher's setting.");
  }
};

}  // namespace reflect
