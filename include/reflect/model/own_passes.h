// Passes of a rank's own on a base that ranks hold together and else pass over together.
#pragma once

namespace reflect {

class WeightSource;
class ShardedWeights;

// For its life each rank makes passes of its own, without gradients, as with Placement::own_passes;
// what is no base that ranks hold together is left as it is. All ranks make it at the same point,
// and end it once all have left (WeightSource::leave).
class OwnPasses {
 public:
  explicit OwnPasses(WeightSource& weights);
  ~OwnPasses();
  OwnPasses(const OwnPasses&) = delete;
  OwnPasses& operator=(const OwnPasses&) = delete;

 private:
  ShardedWeights* weights_;  // null: nothing to do
};

}  // namespace reflect
