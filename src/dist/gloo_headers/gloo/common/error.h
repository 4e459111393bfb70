// Stands in for Gloo's header of this name, which libtorch includes but does not ship. Nothing of
// it is needed.
#pragma once
