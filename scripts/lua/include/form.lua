-- How keys and purchases are laid out here (keys.lua, encoding.lua). A Redis of another form is not sold from; it is rebuilt.
local FORM = '4'
