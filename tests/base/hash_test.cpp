#include "reflect/base/hash.h"

#include <catch2/catch.hpp>

using namespace reflect;

// Values of the xxHash reference implementation: ids in stored files must never change.
TEST_CASE("content hashes keep their values") {
  CHECK(content_hash("") == "99aa06d3014798d86001c324468d497f");
  CHECK(content_hash("reflection") != content_hash("reflections"));
  CHECK(content_hash64("") == 0x2d06800538d394c2);
}
