#include "reflect/base/hash.h"

#include <catch2/catch.hpp>

using namespace reflect;

// Values of the reference implementation (python-xxhash): ids in stored files must never change.
TEST_CASE("content hashes keep their values") {
  CHECK(content_hash("") == "99aa06d3014798d86001c324468d497f");
  CHECK(content_hash("reflection") == "c19f125b778415793b13c89df8645763");
  CHECK(content_hash64("") == 0x2d06800538d394c2);
  CHECK(content_hash64("reflection") == 0x54e1aa8321a4d079);
}
