// Decoding by all ranks of a job: the first one asks, each completes a share of the requests.
#pragma once

#include <functional>
#include <vector>

#include "reflect/dist/process_group.h"
#include "reflect/generate/engine.h"

namespace reflect {

// The ranks decode each by itself, or on weights that they hold together (Placement): then one that
// is done with its share takes part in the others' passes. All ranks make it with the same engines,
// in the same order; then the first one calls `generate`, the others `serve`. In a group of one
// `generate` is the engine's.
class Team {
 public:
  explicit Team(ProcessGroup group, std::vector<const Engine*> engines = {});
  // One engine more, which must outlive all calls for it; its number.
  std::size_t add(const Engine& engine);
  int ranks() const { return group_.size(); }

  // Engine::generate by engine `number`. What `on_done` gets of other ranks comes after some
  // batches of each. A completion does not depend on the number of ranks but for rounding.
  std::vector<Completion> generate(
      const std::vector<GenerateRequest>& requests,
      const std::function<void(std::size_t, const Completion&)>& on_done = {},
      std::size_t number = 0);
  // The first rank asks for no more: `serve` returns on the others. After a call of `generate` that
  // has failed they know already.
  void dismiss();
  // Completes this rank's shares, until it is dismissed. A signal to any rank ends the call on all
  // with an Error, as it does `generate`.
  void serve();

 private:
  using Done = std::function<void(std::size_t, const Completion&)>;
  void complete_share(const std::vector<GenerateRequest>& requests, std::size_t number,
                      const Done& on_done);

  ProcessGroup group_;
  std::vector<const Engine*> engines_;
  bool asking_ = false;  // a call of `generate` is under way, or has failed
};

}  // namespace reflect
