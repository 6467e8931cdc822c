#pragma once
/* Included ahead of everything where clang compiles Cap'n Proto 0.9: its headers leave these two to C++20's
   reversed operators, which clang 16 (P2468) no longer derives here. */
#ifdef __cplusplus
#include <kj/string.h>
namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return b == StringPtr(a); }
inline bool operator!=(const char* a, const StringPtr& b) { return !(b == StringPtr(a)); }
}  // namespace kj
#endif
