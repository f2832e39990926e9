/** How the service finds the key of a request, as a statement on its own. */
export const FIND_KEY = {
  name: 'find-key',
  text: `select k.id, k.role, k.hint, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, k.hash,
      a.id as analyst_id, a.name as analyst_name
    from api_keys k join analysts a on a.id = k.analyst_id
   where k.hash = $1`,
};
