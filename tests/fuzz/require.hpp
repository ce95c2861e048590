#pragma once
// What a fuzz program says when something that must hold does not.

#include <cstdio>
#include <cstdlib>
#include <string>

namespace cartwright::fuzz {

/// Ends the process, for libFuzzer to keep the input, unless `holds`. `what` is a sentence that was false.
inline void require(bool holds, const char* what, const std::string& about = {}) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s %s\n", what, about.c_str());
  std::abort();
}

}  // namespace cartwright::fuzz
