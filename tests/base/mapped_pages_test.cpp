#include "reflect/base/mapped_pages.h"

#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <string_view>

#include "reflect/base/file.h"
#include "temp_folder.h"

using namespace reflect;

TEST_CASE("dropped pages leave memory and read the same again") {
  TempFolder folder;
  std::string bytes(64 * 4096, 'x');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i % 251);
  write_file_atomic(folder / "a", bytes);
  const MappedFile map(folder / "a");
  const std::string_view mapped(reinterpret_cast<const char*>(map.data()), map.size());
  CHECK(mapped == bytes);
  drop_mapped_pages(map.data() + 100, map.size() - 200);
  CHECK(mapped == bytes);
  drop_mapped_pages(map.data() + 100, 10);
  drop_mapped_pages(map.data(), 0);
  CHECK(mapped == bytes);
}
