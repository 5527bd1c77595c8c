/** `offloop/register` is loaded for what it does. */
declare const nothing: undefined;
export = nothing;
