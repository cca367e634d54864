# cashew_part(NAME FOLDER USES PART... [LIBS LIBRARY...]): a folder of runtime/ is a library. Its headers are seen only by who names it in USES:
# the compiler refuses every other include. No part links another one PUBLIC, so that nothing is inherited.
#
# USES is the table "who may include whom" of ARCHITECTURE.md. The property cashew_parts lists all parts, so that tests can find them.
function(cashew_part name folder)
	cmake_parse_arguments(part "" "" "USES;LIBS" ${ARGN})
	file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/runtime/${folder}/*.c)
	add_library(${name} STATIC ${sources})
	target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/runtime/${folder}>)
	target_link_libraries(${name} PRIVATE cashew_flags ${part_USES} ${part_LIBS})
	set_property(GLOBAL APPEND PROPERTY cashew_parts ${name})
	set_property(GLOBAL PROPERTY cashew_folder_of_${name} ${folder})
	set_property(GLOBAL PROPERTY cashew_uses_of_${name} ${part_USES} ${part_LIBS})
endfunction()
