// Memory that maps of files take.
#pragma once

#include <cstddef>

namespace reflect {

// Takes the pages that lie wholly inside mapped, unchanged bytes of a file out of this process's
// memory, once they have been copied; reading them again brings them back.
void drop_mapped_pages(const void* data, std::size_t size);

// Lets the system begin to read these bytes of a mapped file, which are wanted soon.
void expect_mapped_pages(const void* data, std::size_t size);

}  // namespace reflect
